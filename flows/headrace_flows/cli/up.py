"""``headrace up``: the pages of Prefect and MLflow on this machine."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from headrace.errors import DependencyError, UsageError
from headrace_flows.cli.answers import JsonOption, console, print_json

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from headrace.settings import Settings


def up(as_json: JsonOption = False) -> None:
    """Serve the Prefect and MLflow pages of this home until Ctrl-C."""
    from headrace.settings import Settings
    from headrace_flows import guard
    from headrace_flows.server import LIVE_FILE, answers, configure, live_links

    settings = Settings()
    home = settings.prepare_home().absolute()
    links = live_links(settings)
    if links and answers(f"{links['prefect']}/api/health"):
        raise UsageError(
            f"It is running already: {links['prefect']} and {links['mlflow']}.",
            f"Stop that one first (process {links.get('process', 'unknown')}).",
        )
    configure(settings)
    marker = home / LIVE_FILE
    guards: list[subprocess.Popen[bytes]] = []
    try:
        links = _start(home, settings, guards)
        marker.write_text(json.dumps(links), encoding="utf-8")
        if as_json:
            print_json({"status": "up", "links": links, "home": str(home)})
        else:
            out = console()
            out.print(f"Prefect  {links['prefect']}", markup=False)
            out.print(f"MLflow   {links['mlflow']}", markup=False)
            out.print(f"home     {home}\nCtrl-C ends both.", markup=False)
        _watch(guards)
    finally:
        marker.unlink(missing_ok=True)
        for process in guards:
            guard.stop(process)


def _watch(guards: list[subprocess.Popen[bytes]]) -> None:
    """Wait until Ctrl-C, which is how this ends well, or until a server is gone."""
    try:
        while all(process.poll() is None for process in guards):
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    raise DependencyError(
        "A server ended by itself.", "See its log in the home, and start again."
    )


def _start(
    home: Path, settings: Settings, guards: list[subprocess.Popen[bytes]]
) -> dict[str, str]:
    """Start both servers and wait until they answer; returns their addresses."""
    from headrace_flows import guard
    from headrace_flows.server import UI_PORTS, free_port, wait_until_healthy

    python = [sys.executable, "-m"]
    place = ["--host", "127.0.0.1", "--port"]
    ports = {name: free_port(port) for name, port in UI_PORTS.items()}
    links = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    prefect = [*python, "prefect", "server", "start", *place, str(ports["prefect"])]
    mlflow = [*python, "mlflow", "server", *place, str(ports["mlflow"])]
    mlflow += ["--backend-store-uri", settings.tracking_uri, "--workers", "1"]
    mlflow += ["--default-artifact-root", (home / "mlartifacts").as_uri()]
    environment = {
        **os.environ,
        "PREFECT_API_URL": f"{links['prefect']}/api",
        "PREFECT_UI_API_URL": f"{links['prefect']}/api",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    logs = {name: home / f"{name}-server.log" for name in UI_PORTS}
    for name, command in (("prefect", prefect), ("mlflow", mlflow)):
        guards.append(guard.start(command, environment, str(logs[name])))
    checks = (("prefect", "/api/health"), ("mlflow", "/health"))
    for process, (name, page) in zip(guards, checks, strict=True):
        wait_until_healthy(links[name] + page, process, f"{name}'s server", logs[name])
    return {**links, "process": str(os.getpid())}


COMMANDS = (up,)
