"""Labels to look at, as models disagree: listed for a review, and corrected.

The review is a CSV file. Each row names an item by its sha256. What it decides is
checked, kept in the store, and used by the next ingestion of the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from headrace.data.corrections import Corrections, find_corrections, save_corrections
from headrace.data.snapshots.reading import read_shard, shards_of
from headrace.display.signs import number_of
from headrace.errors import NotFoundError, UsageError
from headrace.pipeline import PipelineSpec
from headrace.planning.results import Saved
from headrace.records import ContractRecord, Record, SnapshotRecord
from headrace.settings import Settings
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.folders import in_store
from headrace.state.home import Home
from headrace.state.store import Store
from headrace.use.relabeling.review import (
    Decided,
    as_csv,
    decide,
    items_of,
    review_page,
    values_of,
)
from headrace.use.relabeling.suspects import find_suspects

R = TypeVar("R", bound=Record)


class ListedSuspects(Record):
    """A list for a review.

    Attributes:
        count: number of labels in it.
        file: where it is; empty where no label is listed, and nothing was written.
        reason: how many there are.
    """

    pipeline: str
    count: int
    file: str
    reason: str


class AppliedLabels(Record):
    """What a reviewed file or a withdrawal has changed.

    Attributes:
        corrected: number of labels that the next ingestion corrects, in all.
        digest: of the corrections; empty if there are none.
        who: the user, from the settings; not verified.
        decisions: number of rows of the file by decision.
    """

    pipeline: str
    corrected: int
    digest: str
    who: str
    decisions: Mapping[str, int] = {}


def list_suspects(
    spec: PipelineSpec,
    folder: Path,
    file: Path,
    settings: Settings,
    *,
    as_page: bool = False,
) -> ListedSuspects:
    """Write the labels of the last run's data that models disagree with.

    Args:
        spec: the pipeline.
        folder: its folder.
        file: to write; it must not exist.
        settings: where the store and the ledger are.
        as_page: an HTML page with the items instead of a CSV file.

    Raises:
        NotFoundError: the pipeline has had no run.
        UsageError: the file exists; and as `find_suspects`.
        Refusal: as `find_suspects`.
        IntegrityError: the data is gone or damaged.
    """
    home = Home(settings)
    snapshot = _last(home.store, spec.name, "ingest", SnapshotRecord)
    contract = _last(home.store, spec.name, "validate", ContractRecord)
    if file.exists():
        raise UsageError(
            f"{file} is there already, perhaps with decisions.",
            "Move it away, or name another with --output.",
        )
    rows = find_suspects(spec, folder, snapshot, contract, home)
    if not rows:
        reason = "the models agree with every label"
        return ListedSuspects(pipeline=spec.name, count=0, file="", reason=reason)
    items = items_of(snapshot, {row.item for row in rows})
    values = values_of(rows, items, snapshot.description)
    text = as_csv(values)
    if as_page:
        text = review_page(spec.name, values, items, snapshot.description)
    with disk_errors(str(file.parent)), atomic_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
    reason = f"{number_of(len(rows), 'labels')} to look at"
    return ListedSuspects(
        pipeline=spec.name, count=len(rows), file=str(file), reason=reason
    )


def apply_review(pipeline: str, file: Path, settings: Settings) -> AppliedLabels:
    """Check a reviewed file, and correct the labels that it accepts.

    Args:
        pipeline: its name.
        file: a CSV file from `list_suspects` or from its page.
        settings: where the store and the ledger are, and who the user is.

    Raises:
        NotFoundError: there is no such file, or the pipeline has had no run.
        InputError: a row does not fit; the message names its line.
        IntegrityError: the data is gone or damaged.
    """
    store = Home(settings).store
    snapshot = _last(store, pipeline, "ingest", SnapshotRecord)
    earlier = find_corrections(store, pipeline)
    decided: Decided = decide(file, _labels(snapshot), earlier, snapshot.description)
    if not decided.rows:
        raise UsageError(
            f"{file} accepts no correction ({decided.counts.get('', 0)} rows are not "
            "decided).",
            "Write accept, keep or skip into the column decision.",
        )
    corrections = earlier.with_rows(decided.rows, settings.user)
    save_corrections(store, corrections)
    counts = {name or "undecided": n for name, n in decided.counts.items()}
    return AppliedLabels(
        pipeline=pipeline,
        corrected=len(corrections.rows),
        decisions=counts,
        digest=corrections.digest,
        who=settings.user,
    )


def withdraw(pipeline: str, settings: Settings) -> AppliedLabels:
    """Take all corrections of a pipeline back; raises UsageError if there are none."""
    store = Home(settings).store
    if not find_corrections(store, pipeline).when:
        raise UsageError(
            f"No label of {pipeline} was corrected.", "There is nothing to withdraw."
        )
    save_corrections(store, Corrections(pipeline=pipeline, who=settings.user))
    return AppliedLabels(pipeline=pipeline, corrected=0, digest="", who=settings.user)


def _last(store: Store, pipeline: str, stage: str, kind: type[R]) -> R:
    """The record of a stage of the last run."""
    saved = store.read_record(f"pipelines/{pipeline}/{stage}.json", Saved)
    if saved is None:
        raise NotFoundError(
            f"There is no run of {pipeline} in this home.",
            f"Run `headrace run {pipeline}` first, or set HEADRACE_HOME.",
        )
    return in_store(kind.model_validate(saved.record), store)


def _labels(snapshot: SnapshotRecord) -> dict[str, set[str]]:
    """The labels of each item; an item may be there more than once."""
    labels: dict[str, set[str]] = {}
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["item", "label"])
        items, given = table["item"].to_pylist(), table["label"].to_pylist()
        for item, label in zip(items, given, strict=True):
            labels.setdefault(item, set()).add(label)
    return labels
