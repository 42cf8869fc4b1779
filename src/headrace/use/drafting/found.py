"""What can be told of data before anything is learned from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from headrace.data.snapshots.reading import read_rejected, read_shard, shards_of
from headrace.data.sources.opening import open_source
from headrace.media import medium as medium_named
from headrace.records import Finding, SnapshotRecord
from headrace.spec import DataSpec
from headrace.stages.ingestion import ingest, reading_of
from headrace.state.store import Store
from headrace.tasks import task as task_named
from headrace.tasks.forms import Counts, Survey

if TYPE_CHECKING:
    from headrace.settings import Settings


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen.

    Attributes:
        data: as the pipeline file will say it.
        snapshot: what was ingested.
        survey: what the task says of it.
    """

    data: DataSpec
    snapshot: SnapshotRecord
    survey: Survey

    @property
    def warnings(self) -> list[Finding]:
        """What looks wrong, above all what a run will refuse the data for."""
        rejected = self.snapshot.rejected
        total = rejected + sum(self.snapshot.rows.values())
        found = [*self.snapshot.findings, *self.survey.findings]
        if rejected > self.data.quarantine_limit * total:
            message = (
                f"{rejected:,} of {total:,} rows ({rejected / total:.1%}) cannot be "
                f"used, and a run refuses over {self.data.quarantine_limit:.0%}: mend "
                "them first"
            )
            found.append(
                Finding(check="quarantine_limit", count=rejected, message=message)
            )
        return found


def look(data: DataSpec, medium: str, task: str, settings: Settings) -> Found:
    """Ingest data and see what its task can learn from it.

    Raises:
        Refusal: it is too little.
        SourceError: it is damaged, or no item of it can be decoded.
    """
    module = medium_named(medium)
    with open_source(data.source, settings, reading_of(data, medium, task)) as source:
        chosen = module.suggest(source.chunks)
    data = data.model_copy(
        update={key: value for key, value in chosen.items() if not getattr(data, key)}
    )
    snapshot = ingest(data, medium, Store(settings.store), settings, task)
    counts: Counts = Counter()
    items = 0
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["split", "label", "item"])
        pairs = zip(table["split"].to_pylist(), table["label"].to_pylist(), strict=True)
        counts.update(("train" if s == "val" else s, label) for s, label in pairs)
        items += pc.count_distinct(table["item"]).as_py()  # equal ones share a shard
    rejected = read_rejected(snapshot)["label"].to_pylist()
    surveyor = task_named(task).survey
    survey = surveyor.survey(data.source, counts, items, rejected)
    return Found(data, snapshot, survey)
