"""``headrace doctor``: what is configured, what answers, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Thread

import httpx

from headrace.errors import DependencyError, HeadraceError
from headrace.progress import counted
from headrace.settings import Settings
from headrace_ops.doctor import checks
from headrace_ops.doctor.checks import DoctorCheck, unreachable, wrong
from headrace_ops.doctor.services import check_ledger, check_mlflow, check_prefect

__all__ = ["CHECKS", "DoctorCheck", "examine"]

LIMIT_SECONDS = 10.0
LOADING_SECONDS = 120.0  # for the checks that load models or packages
CHECKS: dict[str, Callable[[Settings], DoctorCheck | Iterable[DoctorCheck]]] = {
    "home": checks.check_home,
    "store": checks.check_store,
    "ledger": check_ledger,
    "mlflow": check_mlflow,
    "prefect": check_prefect,
    "signing": checks.check_signing,
    "models": checks.check_models,
    "extensions": checks.check_extensions,
    "pipelines": checks.check_pipelines,
    "versions": checks.check_versions,
    "bytecode": checks.check_bytecode,
    "system metrics": checks.check_metrics,
    "telemetry": checks.check_telemetry,
}


def examine(settings: Settings) -> list[DoctorCheck]:
    """Run all checks at the same time. They change nothing.

    A remote store is checked by writing one small object, which is deleted again. A
    check that takes longer than its limit counts as unreachable.
    """
    results: dict[str, list[DoctorCheck]] = {}

    def run_check(name: str) -> None:
        rows = list[DoctorCheck]()
        try:
            result = CHECKS[name](settings)
            rows.extend([result] if isinstance(result, DoctorCheck) else result)
        except DependencyError as error:
            rows.append(unreachable(name, error.message, error.action))
        except HeadraceError as error:
            rows.append(wrong(name, error.message, error.action))
        except Exception as error:  # a failed check hides no other
            fix = "Read the message; the other lines may explain it."
            state = unreachable if isinstance(error, httpx.HTTPError) else wrong
            rows.append(state(name, f"{type(error).__name__}: {error}", fix))
        results.setdefault(name, rows)  # after its limit it is too late

    # Daemons: a check that hangs must not keep the command from ending.
    threads = {n: Thread(target=run_check, args=(n,), daemon=True) for n in CHECKS}
    for thread in threads.values():
        thread.start()
    started = time.monotonic()
    for name in counted(CHECKS, "doctor", "checks"):
        limit = LOADING_SECONDS if name in ("models", "extensions") else LIMIT_SECONDS
        threads[name].join(max(0.0, started + limit - time.monotonic()))
        fix = "Check that it runs and can be reached from this machine."
        late = unreachable(name, f"no answer within {limit:g} s", fix)
        results.setdefault(name, [late])
    return [check for name in CHECKS for check in results[name]]
