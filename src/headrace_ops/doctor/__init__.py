"""``headrace doctor``: what is configured, what answers, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Thread

import httpx

from headrace.errors import DependencyError, HeadraceError
from headrace.progress import counted
from headrace.settings import Settings
from headrace_ops.doctor import checks, services
from headrace_ops.doctor.checks import DoctorCheck, unreachable, wrong

__all__ = ["CHECKS", "DoctorCheck", "examine"]

LIMIT_SECONDS = 120.0
CHECKS: dict[str, Callable[[Settings], Iterable[DoctorCheck]]] = {
    "home": checks.check_home,
    "store": checks.check_store,
    "ledger": services.check_ledger,
    "mlflow": services.check_mlflow,
    "prefect": services.check_prefect,
    "signing": checks.check_signing,
    "extensions": checks.check_extensions,
    "versions": checks.check_versions,
}


def examine(settings: Settings) -> list[DoctorCheck]:
    """Run all checks at the same time. They change nothing.

    A remote store is checked by writing one small object, which is deleted again. A
    check that takes longer than the limit counts as unreachable.
    """
    results: dict[str, list[DoctorCheck]] = {}

    def run_check(name: str) -> None:
        rows = list[DoctorCheck]()
        try:
            rows.extend(CHECKS[name](settings))
        except DependencyError as error:
            rows.append(unreachable(name, error.message, error.action))
        except HeadraceError as error:
            rows.append(wrong(name, error.message, error.action))
        except httpx.HTTPError as error:
            fix = "Start it (here: `headrace up`), or correct its address."
            rows.append(unreachable(name, str(error) or type(error).__name__, fix))
        except Exception as error:  # a failed check hides no other
            fix = "Read the message; the other lines may explain it."
            rows.append(wrong(name, f"{type(error).__name__}: {error}", fix))
        results.setdefault(name, rows)  # after the limit it is too late

    # Daemons: a check that hangs must not keep the command from ending.
    threads = {n: Thread(target=run_check, args=(n,), daemon=True) for n in CHECKS}
    for thread in threads.values():
        thread.start()
    limit = time.monotonic() + LIMIT_SECONDS
    for name in counted(CHECKS, "doctor", "checks"):
        threads[name].join(max(0.0, limit - time.monotonic()))
        fix = "Check that it runs and can be reached from this machine."
        late = unreachable(name, f"no answer within {LIMIT_SECONDS:g} s", fix)
        results.setdefault(name, [late])
    return [check for name in CHECKS for check in results[name]]
