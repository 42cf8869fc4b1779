"""MLflow: where it is, its version, its door, its clock, where its artifacts go."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from headrace.settings import Settings
from headrace_ops.doctor.asking import (
    Said,
    ask,
    check_clock,
    check_door,
    mlflow_authorization,
)
from headrace_ops.doctor.check import Check
from headrace_ops.doctor.ledger import check_database
from headrace_ops.doctor.versions import compare
from headrace_ops.environment import is_loopback
from headrace_ops.live import live_links


def check_mlflow(settings: Settings) -> list[Check]:
    """The tracking server or database."""
    uri = settings.tracking_uri
    if uri.startswith("http"):
        return _check_server(uri.rstrip("/"), "mlflow", settings)
    if uri.startswith(("sqlite", "postgresql", "mysql", "mssql")):
        checks = check_database("mlflow", uri, settings)
        live = live_links(settings).get("mlflow")
        return checks + (_check_server(live, "mlflow page", settings) if live else [])
    return [
        Check(
            name="mlflow",
            state="wrong",
            seen=f"MLFLOW_TRACKING_URI is {uri!r}: files, which MLflow has given up",
            fix="unset MLFLOW_TRACKING_URI, or set it to a server or a database",
        )
    ]


def _check_server(url: str, name: str, settings: Settings) -> list[Check]:
    health = ask(f"{url}/health")
    if health.status != 200:
        return [_unreachable(url, name, health)]
    headers = mlflow_authorization(settings, url)
    search = f"{url}/api/2.0/mlflow/experiments/search"
    experiments = ask(search, headers, {"max_results": 50})
    if experiments.status in {401, 403}:
        return [
            Check(
                name=name,
                state="wrong",
                seen=f"{url} refuses the user and password given, or misses them",
                fix="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
            )
        ]
    checks = [Check(name=name, state="ok", seen=url)]
    version = ask(f"{url}/version", headers)
    if version.status == 200:
        checks.append(compare("mlflow", version.text.strip().strip('"'), url))
    checks += check_door(
        "mlflow",
        url,
        ask(search, body={"max_results": 1}),
        "Start it with `headrace up`, or with --app-name basic-auth, and set "
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD here.",
    )
    checks += check_clock("mlflow", health.date)
    found = (experiments.json or {}).get("experiments", [])
    roots = {str(e.get("artifact_location", "")).rpartition("/")[0] for e in found}
    return checks + [
        check for root in sorted(roots) for check in check_artifacts(root, url)
    ]


def _unreachable(url: str, name: str, said: Said) -> Check:
    why = said.text if said.status == 0 else f"status {said.status}"
    return Check(
        name=name,
        state="unreachable",
        seen=f"{url} does not answer: {why}",
        fix="Start it (here: `headrace up`), or unset MLFLOW_TRACKING_URI.",
    )


def check_artifacts(root: str, url: str) -> list[Check]:
    """Whether artifacts below a root of the server's can be written from here."""
    parts = urlsplit(root)
    if parts.scheme not in {"", "file"}:
        return []  # the server's to write, or asked for with the store
    path = Path(unquote(parts.path) or "/")
    name = "mlflow artifacts"
    is_here = is_loopback(urlsplit(url).hostname or "")
    nearest = next(p for p in (path, *path.parents) if p.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        return [
            Check(
                name=name,
                state="wrong",
                seen=f"the server's artifact root {path} cannot be written from here",
                fix="Start it with --artifacts-destination, so that it writes them "
                "itself, and train in a new experiment.",
            )
        ]
    if not is_here:
        return [
            Check(
                name=name,
                state="hint",
                seen=f"the server's artifact root is a folder, {path}",
                fix="Share it with every worker, or use --artifacts-destination.",
            )
        ]
    return [Check(name=name, state="ok", seen=str(path))]
