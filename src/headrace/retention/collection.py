"""``headrace gc``: deletes what nothing needs any more, and records it first.

It marks, records the collection in the ledger, and deletes. A killed collection leaves
only what the next one marks again. While it runs, it holds a lease: a run that begins
meanwhile waits, and what a run that began before may use is kept.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

from headrace.display.progress import counted
from headrace.errors import IntegrityError
from headrace.records import Record
from headrace.retention import alone
from headrace.retention.marking import Garbage, mark
from headrace.retention.roots import Roots
from headrace.settings import Settings
from headrace.stages.promotion.registry import published_heads
from headrace.state.home import Home
from headrace.state.tracking.disposal import Disposal

RECORDED = ("versions", "snapshots")  # whose absence is no fault from then on
log = logging.getLogger("headrace")


class CollectedKind(Record):
    """How much of one kind was collected."""

    kind: str
    count: int
    bytes: int


class CollectionResult(Record):
    """The result of a collection.

    Attributes:
        dry_run: whether nothing was deleted.
        collected: what was, or would be, by kind.
        in_progress: pipelines of which nothing was collected, as a run uses them.
        bytes: of all that was collected.
    """

    dry_run: bool
    collected: tuple[CollectedKind, ...]
    in_progress: tuple[str, ...]
    bytes: int
    reason: str


def collect(
    settings: Settings, older_days: float, *, dry_run: bool = False
) -> CollectionResult:
    """Delete what no root needs; see `find_roots`.

    Args:
        settings: where ledger, store and MLflow are, and who the user is.
        older_days: the age below which nothing is collected.
        dry_run: only say what would be deleted.

    Raises:
        IntegrityError: the ledger was changed, or an older one is in its place.
        DependencyError: another collection runs, the ledger was changed meanwhile, or
            a place does not answer.
    """
    home, disposal = Home(settings), Disposal(settings)
    _check_ledger(home)
    log.info("gc: looking for what nothing needs")
    if dry_run:
        return _result(*mark(home, disposal, older_days), is_dry=True)
    with alone(settings, "gc"):
        before = home.ledger.facts.decisions()
        roots, garbage = mark(home, disposal, older_days)
        kinds = {one.key: one.kind for one in garbage if one.kind in RECORDED}
        home.ledger.facts.record_deleted(kinds, settings.user, decisions=before)
        for one in counted(garbage, "gc", "deleted"):
            one.delete()
    return _result(roots, garbage, is_dry=False)


def _check_ledger(home: Home) -> None:
    """Raise IntegrityError if the ledger cannot say what is needed.

    What a ledger lacks would be deleted as needed by nothing.
    """
    heads = published_heads(home.ledger.models(), home)
    if problem := home.ledger.walk_chain(heads).problem:
        raise IntegrityError(
            f"The ledger does not tell what is needed: {problem}.",
            "Nothing was deleted. See `headrace verify`.",
        )


def _result(
    roots: Roots, garbage: Sequence[Garbage], *, is_dry: bool
) -> CollectionResult:
    sizes = defaultdict[str, list[int]](list)
    for one in garbage:
        sizes[one.kind].append(one.bytes)
    kinds = tuple(
        CollectedKind(kind=kind, count=len(own), bytes=sum(own))
        for kind, own in sizes.items()
    )
    total, in_progress = sum(one.bytes for one in garbage), sorted(roots.in_progress)
    reason = "there is nothing to collect"
    if kinds:
        verb = "would be deleted" if is_dry else "were deleted"
        reason = f"{len(garbage):,} things of {total:,} bytes {verb}"
    if not roots.is_quiet:
        names = ", ".join(in_progress) or "another flow"
        reason += f"; what a run in progress may use is kept ({names})"
    return CollectionResult(
        dry_run=is_dry,
        collected=kinds,
        in_progress=tuple(in_progress),
        bytes=total,
        reason=reason,
    )
