"""``headrace doctor``: what is configured, what answers, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import httpx

from headrace.errors import DependencyError, HeadraceError
from headrace.progress import counted
from headrace.settings import Settings
from headrace_ops.doctor import checks, services
from headrace_ops.doctor.checks import DoctorCheck, unreachable, wrong

__all__ = ["CHECKS", "DoctorCheck", "examine"]

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
    """Run all checks. They change nothing, and what they ask answers in limited time.

    A remote store is checked by writing one small object, which is deleted again.
    """
    rows = list[DoctorCheck]()
    for name in counted(CHECKS, "doctor", "checks"):
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
    return rows
