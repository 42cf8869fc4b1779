"""``headrace worker``: runs the flows of one pool on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace_cli.answers import JsonOption, answer, prepared

PoolOption = Annotated[str, typer.Option(help="cpu or gpu, or a pool of your own.")]
LimitOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="How many flows at once: by default 1 for gpu, else one per core."
    ),
]


def worker(
    pool: PoolOption, limit: LimitOption = None, as_json: JsonOption = False
) -> None:
    """Run the flows of a pool, each as a process, until Ctrl-C."""
    from headrace_flows.recovery import keep_sweeping
    from headrace_ops.worker import default_limit, work

    def tell(value: dict[str, Any]) -> None:
        text = (
            f"Working for pool {value['pool']}, {value['limit']} at once, as "
            f"{value['worker']}. Ctrl-C ends it."
        )
        answer(value, text, as_json=as_json)

    settings = prepared()
    work(settings, pool, limit or default_limit(pool), tell, keep_sweeping)


COMMANDS = (worker,)
