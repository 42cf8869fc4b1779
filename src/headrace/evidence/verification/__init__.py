"""Checks everything against the ledger, and reports the first mismatch.

The ledger's chain is checked first, then the data of all versions, then the models,
their tags and aliases in MLflow. Nothing is changed.

Data and models that are missing are counted, which is no problem. Only a champion must
have its own.
"""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import RootModel, ValidationError, field_serializer

from headrace.display.signs import number_of
from headrace.evidence.verification.walk import Walk
from headrace.records import Record
from headrace.settings import Settings
from headrace.settings.home import PRIVATE_FILE
from headrace.stages.promotion.registry import published_heads
from headrace.state.disk import atomic_file
from headrace.state.home import Home
from headrace.state.ledger import Mismatch
from headrace.state.ledger.records import utc_now

FILE = "verify.json"  # what was said last: a note for people, and no evidence
log = logging.getLogger("headrace")


class Verification(Record):
    """The result of a verification.

    Attributes:
        model: the only model that was checked; None for all.
        chain: ``rows``, the number of rows in the chain, and ``head``, the last link.
            A copy kept elsewhere shows later whether the ledger was rewritten.
        checked: how many of each kind are as recorded.
        missing: how many of each kind are no longer in the store or MLflow.
        collected: how many of each kind `headrace gc` and `headrace forget` have
            deleted and recorded.
        problem: the first mismatch; as JSON ``where`` it is, ``what`` is wrong, and the
            ``action`` to take.
        seconds: the duration.
    """

    status: Literal["ok", "broken"]
    reason: str
    model: str | None
    chain: dict[str, Any]
    checked: dict[str, int]
    missing: dict[str, int]
    collected: dict[str, int]
    problem: Mismatch | None
    seconds: float

    @field_serializer("problem")
    def _as_problem(self, problem: Mismatch | None) -> dict[str, str] | None:
        if problem is None:
            return None
        where, what, action = problem.where, problem.message, problem.action
        return {"where": where, "what": what, "action": action}


def verify(settings: Settings, model: str = "", head: str = "") -> Verification:
    """Check everything against the ledger, and note in the home what was found.

    Args:
        settings: where the ledger, the store and MLflow are.
        model: check only what belongs to it, beside the ledger's chain.
        head: an earlier last link of the ledger's chain, which must still be in it.

    Raises:
        NotFoundError: there is no such model, or no home.
        DependencyError: the ledger, the store or MLflow does not answer.
    """
    started = time.perf_counter()
    home = Home.existing(settings, "ledger to verify")
    if model:
        home.ledger.newest_version(model)  # raises NotFoundError
    log.info("verify: the ledger")
    published = published_heads([model] if model else home.ledger.models(), home)
    chain = home.ledger.walk_chain(published | {head} - {""})
    walk = Walk(home, model)
    problem = next(walk.mismatches(chain.problem), None)
    counts = ", ".join(number_of(n, kind) for kind, n in walk.checked.items())
    whose = f"everything of {model}" if model else "everything"
    reason = f"{whose} fits the ledger ({counts or 'its rows'})"
    if problem is not None:
        reason = f"{problem.message} {problem.action}"
    status: Literal["ok", "broken"] = "ok" if problem is None else "broken"
    if settings.home.is_dir():
        note(settings.home, model, status, reason)
    return Verification(
        status=status,
        reason=reason,
        model=model or None,
        chain={"rows": chain.rows, "head": chain.head},
        checked=walk.checked,
        missing=walk.missing,
        collected=walk.collected,
        problem=problem,
        seconds=round(time.perf_counter() - started, 3),
    )


class Said(Record):
    """The answer of one verification; ``when`` is ISO 8601, UTC."""

    when: str
    status: str
    reason: str


class _File(RootModel[dict[str, Said]]):
    """By model; that of everything has an empty name."""


def last_said(home: Path) -> dict[str, Said]:
    """The last answers by model, that of everything by an empty name."""
    try:
        return _File.model_validate_json((home / FILE).read_bytes()).root
    except (OSError, ValidationError):
        return {}


def note(home: Path, model: str, status: str, reason: str) -> None:
    """Note an answer, in place of the last one; a home that is read-only has none."""
    said = Said(when=utc_now(), status=status, reason=reason)
    said_before = {} if not model else last_said(home)
    with contextlib.suppress(OSError), atomic_file(home / FILE) as new:
        new.touch(PRIVATE_FILE)
        text = _File({**said_before, model: said}).model_dump_json()
        new.write_text(text + "\n", encoding="utf-8")
