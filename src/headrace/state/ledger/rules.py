"""What follows from the rows of a model, and the errors for what does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from headrace.errors import NotFoundError, PromotionError, UsageError, did_you_mean
from headrace.state.ledger.records import Approval, Entry, Evidence, Row, model_of

R = TypeVar("R", bound=Row)


def check_reason(why: str) -> None:
    """Raise UsageError if there is no reason for a forced promotion."""
    if not why.strip():
        raise UsageError(
            "A forced promotion needs a reason.", "Give it with --reason TEXT."
        )


def forcing(model: str, version: int) -> str:
    """The command that promotes a version without passing evidence."""
    return f"`headrace promote {model} {version} --force --reason TEXT`"


def previous_champion(model: str, entries: Sequence[Entry]) -> int:
    """The champion before the present one was promoted; raises PromotionError."""
    champions: list[int] = []
    for entry in entries:
        if entry.action != "promote":
            champions.pop()
        elif champions[-1:] != [entry.to_version]:  # else it is promoted again
            champions.append(entry.to_version)
    if champions[1:]:
        return champions[-2]
    last = f"no champion before {champions[0]}" if champions else "no champion"
    raise PromotionError(
        f"There is nothing to roll back to: {model} has had {last}.",
        f"See `headrace history {model}`.",
    )


def rolled_back(entries: Sequence[Entry]) -> dict[int | None, Entry]:
    """The rollback of each version that was not promoted again afterwards."""
    rollbacks: dict[int | None, Entry] = {}
    for entry in entries:
        if entry.action == "promote":
            rollbacks.pop(entry.to_version, None)
        else:
            rollbacks[entry.from_version] = entry
    return rollbacks


def standing_evidence(
    evidence: Sequence[Evidence], history: Sequence[Entry], version: int
) -> Evidence | None:
    """The evidence that a version was last promoted on; else its last.

    Evidence of an experiment counts only if there is no other. Later evidence, against
    another champion or under another law, does not replace that of a promotion.

    Args:
        evidence: of its model, oldest first.
        history: the promotions and rollbacks, at least those to this version.
        version: whose evidence is returned.
    """
    promoted = {
        entry.evidence_id
        for entry in history
        if entry.action == "promote" and entry.to_version == version
    }
    return max(
        (row for row in evidence if row.version == version),
        key=lambda row: (row.id in promoted, not row.experiment, row.id or 0),
        default=None,
    )


def with_timeouts(rows: Sequence[R]) -> Iterator[R | Approval]:
    """Rows of a model, each request that nobody answered in time before a rejection."""
    steps = {(r.version, r.step) for r in rows if isinstance(r, Approval)}
    for row in rows:
        yield row
        if isinstance(row, Approval) and row.is_overdue:
            if (row.version, row.step + 1) not in steps:
                yield row.timed_out()


def check_passed(evidence: Evidence) -> None:
    """Raise PromotionError if a gate has failed."""
    model, version = evidence.model, evidence.version
    if not evidence.passed:
        failed = ", ".join(gate.name for gate in evidence.gates if not gate.passed)
        raise PromotionError(
            f"Version {version} of {model} did not pass its gates: "
            f"{failed or 'there were none'}.",
            f"Train a better model, or overrule with {forcing(model, version)}.",
        )


def no_evidence(model: str, version: int, champion: int | None) -> PromotionError:
    """The error for a version that was not judged against a champion."""
    against = f"against the champion {champion}" if champion else "yet"
    return PromotionError(
        f"There is no evidence for version {version} of {model} {against}.",
        f"Run `headrace run {model}`, or overrule with {forcing(model, version)}.",
    )


def conflict(
    action: str, model: str, expected: int, entries: Sequence[Entry]
) -> PromotionError:
    """The error for a decision that another one came before."""
    later = "; ".join(str(entry) for entry in entries if entry.sequence > expected)
    name = "promotion" if action == "promote" else action
    return PromotionError(
        f"The {name} of {model} was rejected: it was decided on entry {expected}, but "
        f"{later or f'the last entry is {len(entries)}'}.",
        f"Look at `headrace history {model}` and decide again.",
    )


def not_found(
    what: str, model: str, models: Sequence[str], versions: Sequence[int] = ()
) -> NotFoundError:
    """The error for what there is not.

    Args:
        what: a model, or a version of one.
        model: its name.
        models: those that there are.
        versions: of this model.
    """
    listed = f"Known models: {', '.join(models) or 'none'}."
    action = did_you_mean(model_of(model), models, listed)
    if versions:
        action = f"Known versions: {', '.join(map(str, versions))}."
    return NotFoundError(f"There is no {what}.", action)


def no_champion(model: str, alias: str, models: Sequence[str]) -> NotFoundError:
    """The error for a name that stands for no version."""
    if models and model not in models:
        return not_found(f"model {model!r}", model, models)
    return NotFoundError(
        f"The model {model!r} has no {alias or 'champion'}.",
        f"Name MODEL, MODEL@champion or MODEL/VERSION, or run `headrace run {model}`.",
    )
