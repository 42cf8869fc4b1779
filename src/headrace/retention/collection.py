"""``headrace gc``: deletes what nothing needs any more, and records it first.

It marks, records the collection in the ledger, and deletes. A killed collection leaves
only what the next one marks again. While it runs, it holds a lease: a run that begins
meanwhile waits, and what a run that began before may use is kept.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from headrace.errors import DependencyError, IntegrityError, UsageError
from headrace.progress import counted
from headrace.records import Record
from headrace.retention import alone
from headrace.retention.marking import Garbage, mark
from headrace.retention.roots import Policy, Roots
from headrace.settings import Settings
from headrace.stages.promotion.registry import published_heads
from headrace.state.disk import is_full
from headrace.state.folders import FOLDERS
from headrace.state.home import Home
from headrace.state.tracking.disposal import Disposal

RECORDED = ("versions", "snapshots")  # whose absence is no fault from then on
_MOST_DAYS = 36_500  # a date that lies further back may not exist
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
        kept: number of versions, MLflow runs and snapshots that are kept.
        in_progress: pipelines of which nothing was collected, as a run uses them.
        bytes: of all that was collected.
    """

    dry_run: bool
    collected: tuple[CollectedKind, ...]
    kept: Mapping[str, int]
    in_progress: tuple[str, ...]
    bytes: int
    reason: str


def check_policy(policy: Policy) -> None:
    """Raise UsageError if a policy would keep too little."""
    if policy.keep < 1 or not 0 <= policy.older_days <= _MOST_DAYS:
        raise UsageError(
            f"--keep {policy.keep} --older {policy.older_days:g} is not possible.",
            f"Keep at least 1 run of each pipeline, and 0 to {_MOST_DAYS:,} days.",
        )


def collect(
    settings: Settings, policy: Policy, *, dry_run: bool = False
) -> CollectionResult:
    """Delete what no root needs; see `find_roots`.

    Args:
        settings: where ledger, store and MLflow are, and who the user is.
        policy: what is to be kept beside what must be.
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
        return _result(*mark(home, disposal, policy), is_dry=True)
    with _told_what_may_go(home), alone(settings, "gc"):
        before = home.ledger.facts.decisions()
        roots, garbage = mark(home, disposal, policy)
        kinds = {one.key: one.kind for one in garbage if one.kind in RECORDED}
        home.ledger.facts.record_deleted(kinds, settings.user, decisions=before)
        for one in counted(garbage, "gc", "deleted"):
            one.delete()
    return _result(roots, garbage)


@contextlib.contextmanager
def _told_what_may_go(home: Home) -> Iterator[None]:
    """On a disk too full to record a collection, say what can be deleted by hand."""
    try:
        yield
    except DependencyError as error:
        if not is_full(str(home.settings.home)):
            raise
        caches = [one.name for one in FOLDERS.values() if one.is_made_again]
        places = [home.store.uri(name) for name in caches if home.store.exists(name)]
        made_again = "; what these folders have is made again when it is needed: "
        advice = "Delete other files on this disk, 1 MiB or more, and run `headrace gc`"
        advice += made_again + ", ".join(places) if places else ""
        raise DependencyError(error.message, f"{advice}.", was_retried=True) from error


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
    roots: Roots,
    garbage: Sequence[Garbage],
    *,
    is_dry: bool = False,
) -> CollectionResult:
    counts, sizes = Counter[str](), Counter[str]()
    for one in garbage:
        counts[one.kind] += 1
        sizes[one.kind] += one.bytes
    kinds = tuple(
        CollectedKind(kind=kind, count=count, bytes=sizes[kind])
        for kind, count in counts.items()
    )
    reason = "there is nothing to collect"
    if kinds:
        verb = "would be deleted" if is_dry else "were deleted"
        reason = f"{len(garbage):,} things of {sizes.total():,} bytes {verb}"
    if not roots.is_quiet:
        names = ", ".join(sorted(roots.in_progress)) or "another flow"
        reason += f"; what a run in progress may use is kept ({names})"
    kept = {
        "versions": len(roots.versions),
        "MLflow runs": roots.present_runs,
        "snapshots": len(roots.snapshots - {""}),
    }
    return CollectionResult(
        dry_run=is_dry,
        collected=kinds,
        kept=kept,
        in_progress=tuple(sorted(roots.in_progress)),
        bytes=sizes.total(),
        reason=reason,
    )
