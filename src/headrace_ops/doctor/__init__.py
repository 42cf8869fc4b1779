"""``headrace doctor``: what is configured, what answers, and what to do about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace_ops.doctor.check import Check, State
from headrace_ops.doctor.ledger import check_ledger
from headrace_ops.doctor.machine import (
    check_bytecode,
    check_home,
    check_metrics,
    check_telemetry,
)
from headrace_ops.doctor.mlflow import check_mlflow
from headrace_ops.doctor.models import check_models
from headrace_ops.doctor.prefect import check_prefect
from headrace_ops.doctor.store import check_store
from headrace_ops.doctor.versions import check_versions

__all__ = ["Check", "State", "examine"]

LIMIT_SECONDS = 10.0
LOADING_SECONDS = 120.0  # for what loads models, which takes a process with TensorFlow


def examine(settings: Settings, limit_seconds: float = LIMIT_SECONDS) -> list[Check]:
    """Look at everything at once, and change nothing.

    A store that is no folder is tried with one small object, which is taken away again.

    Args:
        limit_seconds: what takes longer counts as unreachable.
    """
    looks: dict[str, Callable[[], list[Check]]] = {
        "home": lambda: check_home(settings),
        "store": lambda: check_store(settings),
        "ledger": lambda: check_ledger(settings),
        "mlflow": lambda: check_mlflow(settings),
        "prefect": lambda: check_prefect(settings),
        "models": lambda: check_models(settings),
        "versions": check_versions,
        "bytecode": check_bytecode,
        "system metrics": check_metrics,
        "telemetry": check_telemetry,
    }
    found: dict[str, list[Check]] = {}

    def look(name: str) -> None:
        try:
            found[name] = looks[name]()
        except DependencyError as error:
            seen, fix = error.message, error.action
            found[name] = [Check(name=name, state="unreachable", seen=seen, fix=fix)]
        except Exception as error:  # one broken thing hides no other
            seen = f"{type(error).__name__}: {error}"
            fix = "See the message; the other lines may say more."
            found[name] = [Check(name=name, state="wrong", seen=seen, fix=fix)]

    # Daemons: what hangs must not keep the command from ending.
    threads = [threading.Thread(target=look, args=(n,), daemon=True) for n in looks]
    for thread in threads:
        thread.start()
    limits = dict.fromkeys(looks, limit_seconds) | {"models": LOADING_SECONDS}
    started = time.monotonic()
    for name, thread in zip(looks, threads, strict=True):
        thread.join(max(0.0, started + limits[name] - time.monotonic()))
    return [
        check
        for name in looks
        for check in found.get(name, [_no_answer(name, limits[name])])
    ]


def _no_answer(name: str, seconds: float) -> Check:
    return Check(
        name=name,
        state="unreachable",
        seen=f"no answer within {seconds:g} s",
        fix="See that it is there and can be reached from here.",
    )
