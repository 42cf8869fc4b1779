"""``headrace up``: the servers and workers of a home, on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.errors import DependencyError
from headrace.state.logins import LOGIN_FILE
from headrace_cli.answers import Answered, JsonOption, answer, console, prepared

_LOGINS = {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"}

PostgresOption = Annotated[
    bool,
    typer.Option(
        "--postgres", help="Keep the home's state in a PostgreSQL, started with it."
    ),
]
WorkersOption = Annotated[
    bool,
    typer.Option("--workers/--no-workers", help="A worker for each pool, or none."),
]
HostOption = Annotated[
    str,
    typer.Option(help="Where to serve; an address others can reach needs passwords."),
]


def up(
    postgres: PostgresOption = False,
    workers: WorkersOption = True,
    host: HostOption = "127.0.0.1",
    as_json: JsonOption = False,
) -> None:
    """Run Prefect, MLflow and a worker for each pool until Ctrl-C."""
    from headrace.settings import Settings
    from headrace_flows.watching import watching_champions
    from headrace_ops.live import only_one
    from headrace_ops.servers import POOLS
    from headrace_ops.supervisor import Supervisor, page_links, start_all

    settings = prepared(to_start_servers=True)
    with only_one(settings) as lock:
        supervisor = Supervisor(lock)
        try:
            servers = start_all(
                supervisor,
                settings,
                with_postgres=postgres,
                pools=POOLS if workers else (),
                host=host,
            )
            with _until_interrupted(as_json):
                pages = page_links(settings, servers["links"])
                answer(servers, lambda: _show(servers, pages), as_json=as_json)
                with _sweeping(servers), watching_champions(Settings()):
                    supervisor.watch()
        finally:
            supervisor.stop()


def _sweeping(servers: dict[str, Any]) -> AbstractContextManager[None]:
    """End runs whose process is gone, unless there are workers, which do so."""
    if servers["workers"]:
        return nullcontext()
    from headrace.settings import Settings
    from headrace_flows.recovery import keep_sweeping

    return keep_sweeping(Settings(), servers["environment"]["PREFECT_API_URL"])


@contextmanager
def _until_interrupted(as_json: bool) -> Iterator[None]:
    """End the block on Ctrl-C; report a server that keeps failing."""
    try:
        yield
    except KeyboardInterrupt:
        return
    except DependencyError as error:
        if not as_json:
            raise
        sys.stderr.write(f"headrace: {error}\n")  # the JSON object is printed already
        raise Answered(error.exit_code) from None


def _show(servers: dict[str, Any], pages: dict[str, str]) -> None:
    out = console()
    for name, link in pages.items():
        out.print(f"{name:<10}{link}", soft_wrap=True)
    for pool in servers["workers"]:
        out.print(f"{'worker':<10}pool {pool}")
    out.print(f"{'home':<10}{servers['home']}")
    if _LOGINS & servers["environment"].keys():
        out.print(f"{'login':<10}{Path(servers['home']) / LOGIN_FILE}")
        out.print("The links contain the home's login: do not share them.")
    out.print("Press Ctrl-C to end all of them.")


COMMANDS = (up,)
