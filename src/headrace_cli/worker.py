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

    def report(value: dict[str, Any]) -> None:
        text = (
            f"Worker {value['worker']} runs flows of the pool {value['pool']}, "
            f"{value['limit']} at once. Press Ctrl-C to end it."
        )
        answer(value, text, as_json=as_json)

    settings = prepared()
    work(settings, pool, limit or default_limit(pool), report, keep_sweeping)


COMMANDS = (worker,)
