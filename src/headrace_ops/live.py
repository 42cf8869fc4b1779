"""The running servers of a home, and their addresses.

``headrace up`` holds a lock while it runs, and so do its servers' guards until their
servers have ended. If the lock is free, the recorded addresses are stale.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headrace.display.credentials import hide_credentials
from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings, variable
from headrace.state.disk import atomic_file
from headrace.state.logins import LIVE_FILE, LOCK_FILE, OWN, live_servers

if TYPE_CHECKING:
    from subprocess import Popen

START_LIMIT_SECONDS = 300  # a busy machine takes minutes
DATA_DOCS, REPORTS = "/data_docs/", "/reports/"
FLOW_RUNS = "/runs"  # on Prefect's: the list of flow runs


def live_links(settings: Settings) -> dict[str, str]:
    """The addresses that ``headrace up`` recorded; empty if no server is running.

    Returns:
        ``headrace``, for its own pages, ``prefect``, ``mlflow``, and ``process``, the
        process id of ``headrace up``.
    """
    return {n: v for n, v in live_servers(settings.home).items() if n != OWN}


def lasting_api_url(settings: Settings) -> str:
    """The URL of the configured Prefect API, or the home's; empty if there is none."""
    live = live_links(settings).get("prefect")
    url = variable("PREFECT_API_URL") or (f"{live}/api" if live else "")
    return url.rstrip("/")


def pages_url(api_url: str) -> str:
    """Where a browser reaches the pages of Prefect's server: PREFECT_UI_URL, if set."""
    page = variable("PREFECT_UI_URL") or api_url.removesuffix("/api")
    return hide_credentials(page.rstrip("/"))


@contextlib.contextmanager
def only_one(settings: Settings) -> Iterator[int]:
    """Hold the lock of ``headrace up``, so that only one runs; yields its descriptor.

    Raises:
        UsageError: another process holds it; the message has the servers' addresses.
    """
    home = settings.home.absolute()
    with (home / LOCK_FILE).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            links = live_links(settings)
            process = links.pop("process", "unknown")
            where = " and ".join(links.values()) or home
            raise UsageError(
                f"`headrace up` is running already, or still ending: {where}.",
                f"Use it, or stop it (process {process}) and try again.",
            ) from None
        (home / LIVE_FILE).unlink(missing_ok=True)
        try:
            yield file.fileno()
        finally:
            (home / LIVE_FILE).unlink(missing_ok=True)


def write_links(settings: Settings, links: dict[str, str], own: Iterable[str]) -> None:
    """Record the addresses for other commands of this home.

    Args:
        own: the names of the servers that accept the home's login.
    """
    content = {**links, "process": str(os.getpid()), OWN: " ".join(own)}
    with atomic_file(settings.home / LIVE_FILE) as new:
        new.write_text(json.dumps(content) + "\n", encoding="utf-8")


def answers(url: str, seconds: float = 1.0) -> bool:
    """Whether a server answers a GET with 200."""
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:  # noqa: S310
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def free_port(preferred: int = 0) -> int:
    """A free port of loopback: the preferred one if it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    ready: Callable[[], bool], process: Popen[bytes], what: str, log: Path
) -> None:
    """Wait until a server answers.

    Raises:
        DependencyError: it does not; the message has the last line of its log.
    """
    limit = time.monotonic() + START_LIMIT_SECONDS
    while process.poll() is None and time.monotonic() < limit:
        if ready():
            return
        time.sleep(0.05)
    raise DependencyError(
        f"{what} did not start: {last_line(log).rstrip('.')}.",
        f"See {log}, and try again.",
    )


def last_line(log: Path) -> str:
    """The last line of a log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return (text.strip().splitlines() or ["no message"])[-1]


def report_path(run_id: str) -> str:
    """The path of the report of an MLflow run."""
    return f"{REPORTS}{run_id}"


def data_docs_path(uri: str) -> str:
    """The path of a validation's page, from its URI in the store."""
    folder, _, page = uri.rpartition("/")
    return f"{DATA_DOCS}{folder.rpartition('/')[2]}/{page}"


def mlflow_page(settings: Settings, place: str) -> str:
    """The address of a page of MLflow, in its view of model training.

    Empty if this home has no server of MLflow now.
    """
    server = mlflow_url(settings)
    return f"{server}/#/{place}?workflowType=machine_learning" if server else ""


def mlflow_url(settings: Settings) -> str:
    """Where MLflow's pages are now, without a password; empty if they are nowhere."""
    parts = urlsplit(settings.mlflow_ui_url or variable("MLFLOW_TRACKING_URI"))
    if parts.scheme in {"http", "https"}:
        server = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{server}{parts.path}".rstrip("/")
    return live_links(settings).get("mlflow", "")
