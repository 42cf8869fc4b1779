"""``headrace worker``: runs the flows of one pool on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace_cli.answers import JsonOption, console, print_json

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
    from headrace.settings import Settings
    from headrace_flows.recovery import keep_sweeping
    from headrace_ops.worker import default_limit, work

    settings = Settings()
    settings.prepare_home()
    tell = print_json if as_json else _tell
    work(settings, pool, limit or default_limit(pool), tell, keep_sweeping)


def _tell(answer: dict[str, Any]) -> None:
    out = console()
    out.print(
        f"Working for pool {answer['pool']}, {answer['limit']} at once, as "
        f"{answer['worker']}. Ctrl-C ends it.",
        markup=False,
    )


COMMANDS = (worker,)
