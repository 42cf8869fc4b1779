"""Prefect's server: which one, its version, its door, its clock, its workers."""

from __future__ import annotations

from headrace.settings import Settings
from headrace.state.logins import login_of
from headrace_ops.doctor.asking import Said, ask, check_clock, check_door
from headrace_ops.doctor.check import Check
from headrace_ops.doctor.versions import compare
from headrace_ops.environment import prefect_login
from headrace_ops.live import lasting_api_url


def check_prefect(settings: Settings) -> list[Check]:
    """The server of runs and deployments."""
    url = lasting_api_url(settings)
    if not url:
        seen = "none is configured or up: a run has a temporary server"
        return [Check(name="prefect", state="ok", seen=seen)]
    health = ask(f"{url}/health")
    if health.status != 200:
        return [_unreachable(url, health)]
    login = prefect_login() or login_of(settings.home, url)
    headers = {"Authorization": login.header} if login else {}
    version = ask(f"{url}/admin/version", headers)
    if version.status == 401:
        return [
            Check(
                name="prefect",
                state="wrong",
                seen=f"{url} asks for a password",
                fix="Set PREFECT_API_AUTH_STRING to its user:password.",
            )
        ]
    checks = [Check(name="prefect", state="ok", seen=url)]
    if isinstance(version.json, str):
        checks.append(compare("prefect", version.json, url))
    checks += check_door(
        "prefect",
        url,
        ask(f"{url}/admin/version"),
        "Set PREFECT_SERVER_API_AUTH_STRING at the server, and "
        "PREFECT_API_AUTH_STRING here.",
    )
    checks += check_clock("prefect", health.date)
    return checks + _workers(settings, url, headers)


def _unreachable(url: str, said: Said) -> Check:
    why = said.text if said.status == 0 else f"status {said.status}"
    return Check(
        name="prefect",
        state="unreachable",
        seen=f"{url} does not answer: {why}",
        fix="Start it (here: `headrace up`), or set PREFECT_API_URL to one that runs.",
    )


def _workers(settings: Settings, url: str, headers: dict[str, str]) -> list[Check]:
    """Which workers are there, and whether their databases bear several."""
    pools = ask(f"{url}/work_pools/filter", headers, {}).json or []
    online: dict[str, int] = {}
    for pool in pools:
        page = f"{url}/work_pools/{pool['name']}/workers/filter"
        workers = ask(page, headers, {}).json or []
        online[pool["name"]] = sum(w["status"] == "ONLINE" for w in workers)
    if not any(online.values()):
        return [
            Check(
                name="workers",
                state="hint",
                seen="none is there: scheduled runs wait",
                fix="headrace worker --pool cpu",
            )
        ]
    seen = ", ".join(f"{name}: {count}" for name, count in sorted(online.items()))
    in_files = [
        name
        for name, place in (
            ("the ledger", settings.database_url),
            ("MLflow", settings.tracking_uri),
        )
        if place.startswith("sqlite")
    ]
    if sum(online.values()) > 1 and in_files:
        return [
            Check(
                name="workers",
                state="hint",
                seen=f"{seen}; {' and '.join(in_files)} in SQLite, which locks",
                fix="Use PostgreSQL: `headrace up --postgres` in a new home.",
            )
        ]
    return [Check(name="workers", state="ok", seen=seen)]
