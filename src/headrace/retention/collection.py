"""``headrace gc``: deletes what nothing needs any more, and records it first.

It marks, records the collection in the ledger, and deletes. A killed collection leaves
only what the next one marks again. While it runs, it holds a lease: a run that begins
meanwhile waits, and what a run that began before may use is kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.errors import DependencyError, IntegrityError, UsageError
from headrace.progress import counted
from headrace.records import Record
from headrace.retention import alone
from headrace.retention.marking import DeletionPlan, mark
from headrace.retention.roots import Policy
from headrace.serving.requests.files import root_of
from headrace.settings import Settings
from headrace.stages.promotion.registry import published_heads
from headrace.state.disk import is_full
from headrace.state.folders import FOLDERS, folder_of
from headrace.state.home import Home
from headrace.state.ledger.disposals import Collected, Outdated
from headrace.state.tracking.disposal import Disposal

ATTEMPTS = 5
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
        number: of its row in the ledger; None if there is none.
    """

    dry_run: bool
    collected: tuple[CollectedKind, ...]
    kept: Mapping[str, int]
    in_progress: tuple[str, ...]
    bytes: int
    number: int | None = None
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
    if dry_run:
        return _result(_mark(home, disposal, policy), True, None)
    with _told_what_may_go(home), alone(settings, "gc"):
        for _ in range(ATTEMPTS):
            marked = _mark(home, disposal, policy)
            with contextlib.suppress(Outdated):
                number = _record(marked, home, policy)
                _delete(marked, home, disposal)
                return _result(marked, False, number)
    raise DependencyError(
        "The ledger was changed each time that a collection was planned.",
        "Nothing was deleted. Run `headrace gc` again when less is going on.",
        was_retried=True,
    )


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


def _mark(home: Home, disposal: Disposal, policy: Policy) -> DeletionPlan:
    log.info("gc: looking for what nothing needs")
    return mark(home, disposal, policy)


def _record(marked: DeletionPlan, home: Home, policy: Policy) -> int | None:
    """Record a collection in the ledger; None if there is nothing to collect."""
    if not marked.items:
        return None
    return home.ledger.disposals.record_collection(
        marked.items,
        sorted(marked.files),
        who=home.settings.user,
        decisions=marked.decisions,
    )


def _delete(marked: DeletionPlan, home: Home, disposal: Disposal) -> None:
    """Delete what was recorded, in its order."""
    for item in counted(marked.items, "gc", "deleted"):
        delete_one(item, marked, home, disposal)


def delete_one(
    item: Collected, marked: DeletionPlan, home: Home, disposal: Disposal
) -> None:
    """Delete one thing; it may be gone already."""
    folder, store = home.settings.home, home.store
    place, _, rest = item.key.partition("/")
    if place == "versions":
        model, number = rest.split("/")[:2]
        disposal.delete_version(model, int(number))
    elif item.key in marked.runs:
        disposal.delete_run(marked.runs[item.key])
    elif item.key in marked.models:
        disposal.delete_logged_model(marked.models[item.key])
    elif place == "requests":
        shutil.rmtree(root_of(folder) / rest, ignore_errors=True)
    elif place == "logs":
        _delete_log(folder.absolute() / rest)
    elif rest.endswith((".json", ".npz", ".parquet")):
        store.delete(item.key)
    else:
        if marker := folder_of(item.key).marker:  # first: the rest is incomplete then
            store.delete(f"{item.key}/{marker}")
        store.delete_folder(item.key)


def _delete_log(path: Path) -> None:
    """Delete a log, or empty one that a live server would go on writing to unseen."""
    with contextlib.suppress(FileNotFoundError):
        if path.suffix == ".log":
            os.truncate(path, 0)  # servers append
        else:
            path.unlink()


def _result(
    marked: DeletionPlan, dry_run: bool, number: int | None
) -> CollectionResult:
    counts: Counter[str] = Counter(item.kind for item in marked.items)
    sizes: Counter[str] = Counter()
    for item in marked.items:
        sizes[item.kind] += item.bytes
    kinds = tuple(
        CollectedKind(kind=kind, count=count, bytes=sizes[kind])
        for kind, count in counts.items()
    )
    total, roots = sizes.total(), marked.roots
    retained: dict[str, Any] = {
        "versions": len(roots.versions),
        "MLflow runs": marked.kept_runs,
        "snapshots": len(roots.snapshots - {""}),
    }
    if not kinds:
        reason = "there is nothing to collect"
    else:
        verb = "would be deleted" if dry_run else "were deleted"
        reason = f"{sum(counts.values()):,} things of {total:,} bytes {verb}"
    if not roots.is_quiet:
        names = ", ".join(sorted(roots.in_progress)) or "another flow"
        reason += f"; what a run in progress may use is kept ({names})"
    return CollectionResult(
        dry_run=dry_run,
        collected=kinds,
        kept=retained,
        in_progress=tuple(sorted(roots.in_progress)),
        bytes=total,
        number=number,
        reason=reason,
    )
