"""``headrace up``, ``headrace worker`` and ``headrace doctor``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from headrace.errors import DependencyError
from headrace.state.logins import LOGIN_FILE
from headrace_cli.answers import answer, prepared, wants_json
from headrace_cli.terminal import console

if TYPE_CHECKING:
    from headrace_ops.doctor import Check

_LOGINS = {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"}

_COLOURS = {"ok": "green", "hint": "yellow", "wrong": "red", "unreachable": "red"}


def up(
    postgres: Annotated[
        bool,
        Option(
            "--postgres", help="Keep the home's state in a PostgreSQL, started with it."
        ),
    ] = False,
    workers: Annotated[
        bool,
        Option("--workers/--no-workers", help="A worker for each pool, or none."),
    ] = True,
    host: Annotated[
        str,
        Option(help="Where to serve; an address others can reach needs passwords."),
    ] = "127.0.0.1",
) -> None:
    """Run Prefect, MLflow and a worker for each pool until Ctrl-C."""
    from headrace.settings import Settings
    from headrace_flows.recovery import keep_sweeping
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
            with _until_interrupted():
                pages = page_links(settings, servers["links"])
                answer(servers, lambda: _show_servers(servers, pages))
                api_url, settings = (
                    servers["environment"]["PREFECT_API_URL"],
                    Settings(),
                )
                # Workers end runs whose process is gone; without them, this does.
                sweeps = nullcontext() if workers else keep_sweeping(settings, api_url)
                with sweeps, watching_champions(settings):
                    supervisor.watch()
        finally:
            supervisor.stop()


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """End the block on Ctrl-C; report a server that keeps failing."""
    try:
        yield
    except KeyboardInterrupt:
        return
    except DependencyError as error:
        if not wants_json():
            raise
        sys.stderr.write(f"headrace: {error}\n")  # the JSON object is printed already
        sys.exit(error.exit_code)


def _show_servers(servers: dict[str, Any], pages: dict[str, str]) -> None:
    out = console()
    for name, link in pages.items():
        out.print(f"{name:<10}{link}")
    for pool in servers["workers"]:
        out.print(f"{'worker':<10}pool {pool}")
    out.print(f"{'home':<10}{servers['home']}")
    if _LOGINS & servers["environment"].keys():
        out.print(f"{'login':<10}{Path(servers['home']) / LOGIN_FILE}")
        out.print("The links contain the home's login: do not share them.")
    out.print("Press Ctrl-C to end all of them.")


def worker(
    pool: Annotated[str, Option(help="cpu or gpu, or a pool of your own.")],
    limit: Annotated[
        int | None,
        Option(
            min=1,
            help="How many flows at once: by default 1 for gpu, else one per core.",
        ),
    ] = None,
) -> None:
    """Run the flows of a pool, each as a process, until Ctrl-C."""
    from headrace_flows.recovery import keep_sweeping
    from headrace_ops.worker import default_limit, work

    def report(value: dict[str, Any]) -> None:
        text = (
            f"Worker {value['worker']} runs flows of the pool {value['pool']}, "
            f"{value['limit']} at once. Press Ctrl-C to end it."
        )
        answer(value, text)

    settings = prepared()
    work(settings, pool, limit or default_limit(pool), report, keep_sweeping)


def doctor() -> None:
    """Report what is configured and what answers, with fixes."""
    from headrace.settings import Settings
    from headrace_ops.doctor import examine

    settings = Settings()
    checks = examine(settings)
    states = {check.state for check in checks}
    status = next((s for s in ("wrong", "unreachable", "hint") if s in states), "ok")
    home, rows = str(settings.home.absolute()), [c.model_dump() for c in checks]
    value = {"status": status, "home": home, "checks": rows}
    exit_code = {"wrong": 2, "unreachable": 3}.get(status, 0)
    answer(value, lambda: _show_checks(checks), exit_code)


def _show_checks(checks: list[Check]) -> None:
    from rich.text import Text

    out = console()
    for check in checks:
        line = Text(f"{check.state:<12}", style=_COLOURS[check.state])
        line.append(f"{check.name:<17}{check.seen}", style="default")
        if check.fix:
            line.append(f"  ->  {check.fix}", style="bold default")
        out.print(line)
