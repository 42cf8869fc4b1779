"""What new data has in it: ingested as in a run, and surveyed by its task."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from headrace import media
from headrace.data.corrections import ForgottenItems
from headrace.data.snapshots.reading import (
    Shard,
    payload_of,
    read_rejected,
    read_shard,
    shards_of,
)
from headrace.data.sources.opening import open_source
from headrace.errors import Refusal
from headrace.imports.extensions import task_default
from headrace.media import medium as medium_named
from headrace.pipeline import DataSpec
from headrace.records import Finding, SnapshotRecord
from headrace.settings import Settings
from headrace.stages.ingestion import ingest, reading_of
from headrace.stages.validation.checks import ALL_EQUAL
from headrace.state.home import Home
from headrace.tasks import task as task_named
from headrace.tasks.forms import Counts
from headrace.tasks.words import Survey
from headrace.use.first_look import (
    FirstRow,
    Prefixes,
    Unusable,
    first_rows,
    unusable_of,
)

_LABELS = 2_000  # that are looked at, to see how they are written
_READ = ["split", "label", "group", "item", "name"]
_OF_REJECTED = ["name", "label", "check", "reason"]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was read of the data.

    Attributes:
        data: the fields for the pipeline file.
        snapshot: the ingested data.
        survey: what the task makes of it.
        first: its first rows, as they were read.
        unusable: the rows that cannot be read or are blank, by check.
    """

    data: DataSpec
    snapshot: SnapshotRecord
    survey: Survey
    first: Sequence[FirstRow] = ()
    unusable: Sequence[Unusable] = ()

    @property
    def total(self) -> int:
        """The number of all rows, with those that cannot be used."""
        return self.snapshot.rejected + sum(self.snapshot.rows.values())

    @property
    def set_aside(self) -> int:
        """The number of rows that cannot be used."""
        return sum(kind.count for kind in self.unusable)

    @property
    def is_refused(self) -> bool:
        """Whether more rows cannot be used than a run sets aside."""
        return self.set_aside > self.data.quarantine_limit * self.total

    @property
    def warnings(self) -> list[Finding]:
        """What looks wrong, including too many rows that cannot be used.

        The rest of the contract, which `headrace check --data` and a run check, is not
        looked at.
        """
        rejected, total = self.set_aside, self.total
        findings = [*self.snapshot.findings, *self.survey.findings]
        if self.is_refused:
            checks = {kind.check: kind.count for kind in self.unusable}
            advice = media.advice(self.snapshot.description.medium, checks)
            message = (
                f"{rejected:,} of {total:,} rows ({rejected / total:.1%}) cannot be "
                f"used, and a run refuses over {self.data.quarantine_limit:.0%}. "
                f"{advice or 'Mend them, or take them out.'}"
            )
            findings.append(
                Finding(check="quarantine_limit", count=rejected, message=message)
            )
        return findings


def inspect(
    data: DataSpec, medium: str, task: str, settings: Settings, pipeline: str = ""
) -> Inspection:
    """Ingest data as a run would, and survey what its task can learn from it.

    Raises:
        Refusal: it is too little.
        SourceError: it is damaged, or no item of it can be decoded.
    """
    with open_source(data.source, settings, reading_of(data, medium, task)) as source:
        begin = list(itertools.islice(source.chunks, 1))
        shown = [row for chunk in begin for row in first_rows(chunk, medium)]
        chosen = medium_named(medium).suggest(itertools.chain(begin, source.chunks))
    if task_default(task, "LABELS_ARE_LISTS"):
        reading = reading_of(data, medium, task)
        with open_source(data.source, settings, reading) as source:
            labels = (label for chunk in source.chunks for label in chunk.labels)
            first = itertools.islice(labels, _LABELS)
            chosen |= task_named(task).labels.suggest(first, data)
    data = data.model_copy(
        update={key: value for key, value in chosen.items() if not getattr(data, key)}
    )
    home = Home(settings)
    forgotten = ForgottenItems.of(home.ledger, pipeline)
    snapshot = ingest(data, medium, home.store, settings, task, forgotten=forgotten)
    counts: Counts = Counter()
    groups = Counter[tuple[str, str, str]]()
    items, prefixes, blank = 0, Prefixes(medium), list[pa.Table]()
    for shard in shards_of(snapshot):
        table, is_blank = _read(snapshot, shard)
        blank.append(_as_rejected(table.filter(is_blank)))
        table = table.filter(pc.invert(is_blank))
        columns = (table[name].to_pylist() for name in ("split", "label", "group"))
        rows = [
            ("train" if s == "val" else s, *r) for s, *r in zip(*columns, strict=True)
        ]
        groups.update(rows)
        counts.update((split, label) for split, label, _ in rows)
        for name, (_, label, _) in zip(table["name"].to_pylist(), rows, strict=True):
            prefixes.add(name, label)
        items += pc.count_distinct(table["item"]).as_py()  # equal ones share a shard
    unreadable = read_rejected(snapshot).select(_OF_REJECTED)
    rejected = pa.concat_tables([unreadable, *blank], promote_options="permissive")
    surveyor = task_named(task).survey
    try:
        labels = rejected["label"].to_pylist()
        survey = surveyor.survey(data.source, counts, items, labels)
    except Refusal as refusal:
        raise _first_failing(snapshot, rejected, data.source) or refusal from None
    survey = surveyor.count_groups(survey, groups)
    survey = surveyor.look(survey, learned_items(snapshot))
    if not data.group:
        survey = replace(survey, findings=[*survey.findings, *prefixes.finding()])
    return Inspection(data, snapshot, survey, shown, unusable_of(rejected))


def _read(snapshot: SnapshotRecord, shard: Shard) -> tuple[pa.Table, pa.Array]:
    """A shard without its items, and which rows are blank, bool.

    What is blank of items that are padded is left to the contract.
    """
    data = snapshot.description
    if medium_named(data.medium).PADDED:
        table = read_shard(snapshot, shard, _READ)
        return table, pa.repeat(pa.scalar(False), len(table))
    table = read_shard(snapshot, shard, [*_READ, data.medium])
    values = payload_of(table, data).reshape(len(table), math.prod(data.shape))
    return table.select(_READ), pa.array((values == values[:, :1]).all(axis=1))


def _as_rejected(blank: pa.Table) -> pa.Table:
    """Blank rows of a shard in the form of those that cannot be read."""
    facts = (pa.repeat(text, len(blank)) for text in ("blank", ALL_EQUAL))
    return pa.table([blank["name"], blank["label"], *facts], names=_OF_REJECTED)


def _first_failing(
    snapshot: SnapshotRecord, rejected: pa.Table, source: str
) -> Refusal | None:
    """Why so many rows cannot be used that too few are left; None if few cannot."""
    count, rows = len(rejected), snapshot.rejected + sum(snapshot.rows.values())
    if 2 * count < rows:
        return None
    checks = Counter(rejected["check"].to_pylist())
    (most, of_most), *_ = checks.most_common()
    first = (
        rejected.filter(pc.equal(rejected["check"], most)).slice(0, 1).to_pylist()[0]
    )
    advice = media.advice(snapshot.description.medium, checks)
    return Refusal(
        f"{count:,} of the {rows:,} rows of {source} cannot be used, {of_most:,} of "
        f"them for their {most}. One of these, {first['name']}: {first['reason']}.",
        advice or "Mend them: too few are left to learn from.",
    )


def learned_items(snapshot: SnapshotRecord) -> Iterator[pa.ChunkedArray]:
    """The items of each shard, as they are stored, without those of test."""
    for shard in shards_of(snapshot):
        medium = snapshot.description.medium  # the name of the column as well
        table = read_shard(snapshot, shard, ["split", medium])
        yield table.filter(pc.not_equal(table["split"], "test"))[medium]
