"""A pipeline's folder written from its data: ``headrace new``.

The data is ingested as in a run, so that the file describes what was read. Fields that
the data does not determine keep their defaults.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace import media
from headrace.data.anchored import open_anchored
from headrace.data.forgotten import Forgotten
from headrace.data.snapshots.reading import read_rejected, read_shard, shards_of
from headrace.data.snapshots.splits import SplitRows
from headrace.data.sources.opening import open_source
from headrace.errors import Refusal, UsageError
from headrace.extensions import task_default
from headrace.gates.kinds.shortcut import threshold_for
from headrace.media import medium as medium_named
from headrace.models import arguments_of, builder_names
from headrace.records import DEFAULT_TASK, MANIFEST, Finding, SnapshotRecord
from headrace.settings import Settings
from headrace.signs import UNSEEN, as_code, as_markdown
from headrace.spec import DataSpec, TrainingSpec, load_spec
from headrace.spec.augment import suggested, used_by_new
from headrace.spec.checks import shorten
from headrace.spec.files import FILE_NAME
from headrace.spec.pipeline import (
    least_steps,
    media_names,
    recipe_of,
    task_names,
)
from headrace.spec.project import write_project
from headrace.spec.tables import fields_of
from headrace.stages.evaluation.shortcuts import find_marks, label_of
from headrace.stages.ingestion import ingest, reading_of
from headrace.state.disk import disk_errors
from headrace.tasks import task as task_named
from headrace.tasks.forms import Counts, Survey, some
from headrace.use.budgets import training_lines

FEW_ROWS = 10_000  # are augmented
_SHOWN = 5
_FIELDS = ("item", "label", "group", "where", "encoding", "separator")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
# A model card, for the user to complete.
_README = """# {name}

{summary} Say here what it is for, and what not.

## Data

From {source}; each item is brought to {form} {units}.{notes}

{labels}

## Limits

{limits} Say here where the data comes from, whom it represents, and its licence.
"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was read of the data.

    Attributes:
        data: the fields for the pipeline file.
        snapshot: the ingested data.
        survey: what the task makes of it.
    """

    data: DataSpec
    snapshot: SnapshotRecord
    survey: Survey

    @property
    def warnings(self) -> list[Finding]:
        """What looks wrong, including too many rows that cannot be read.

        The contract, which `headrace check --data` and a run check, is not looked at.
        """
        rejected = self.snapshot.rejected
        total = rejected + sum(self.snapshot.rows.values())
        findings = [*self.snapshot.findings, *self.survey.findings]
        if rejected > self.data.quarantine_limit * total:
            message = (
                f"{rejected:,} of {total:,} rows ({rejected / total:.1%}) cannot be "
                f"used, and a run refuses over {self.data.quarantine_limit:.0%}: mend "
                "them first"
            )
            findings.append(
                Finding(check="quarantine_limit", count=rejected, message=message)
            )
        return findings


def draft(
    name: str, medium: str, task: str, data: DataSpec, settings: Settings
) -> tuple[Path, Inspection]:
    """Inspect data, and write the folder of a pipeline for it.

    Args:
        name: of the pipeline.
        medium: of its items.
        task: what is learned of them.
        data: the source, and the fields that the user has given.
        settings: where the pipelines and the store are.

    Returns:
        the folder, and what was read of the data.

    Raises:
        UsageError: the name, the medium or the task is invalid, no family is for both,
            or the folder exists.
        NotFoundError: there is no such data.
        SourceError: it is damaged, or no item of it can be decoded.
        Refusal: it is too little to learn from.
        DependencyError: it cannot be reached, or the disk is full.
    """
    folder = settings.project / "pipelines" / name
    _check(name, medium, task, folder)
    if data.separator and not medium_named(medium).IS_TEXT:
        raise UsageError(
            f"data.separator = {data.separator!r} parts texts, and the medium is "
            f"{medium}.",
            "Leave it out.",
        )
    inspection = inspect(data, medium, task, settings, name)
    head = [f"# headrace run {name}", *inspection.survey.head, ""]
    text = "\n".join([*head, *_tables(inspection), ""])
    files = {FILE_NAME: text, "README.md": _readme(name, inspection)}
    with disk_errors(str(folder)):
        if not folder.parent.exists():
            folder.parent.mkdir(parents=True)
            write_project(settings.project)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as place:
            made = Path(place) / name
            made.mkdir()
            for file, text in files.items():
                (made / file).write_text(text, encoding="utf-8")
            load_spec(made)
            shutil.move(made, folder)
    return folder, inspection


def _check(name: str, medium: str, task: str, folder: Path) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{shorten(name)!r} is not a valid pipeline name.",
            "Use small letters, digits, - and _, a letter first.",
        )
    if medium not in media_names():
        raise UsageError(
            f"There is no medium {medium!r}.", f"Media: {', '.join(media_names())}."
        )
    if task not in task_names():
        raise UsageError(
            f"There is no task {task!r}.", f"Tasks: {', '.join(task_names())}."
        )
    takes = task_named(task).takes
    fitting = [name for name in media_names() if builder_names(name, takes)]
    if medium not in fitting:
        raise UsageError(
            f"No family of models is for {task} of {medium}.",
            f"Families for {task} are of {', '.join(fitting) or 'no medium'}.",
        )
    if folder.exists():
        raise UsageError(
            f"{folder} is there already.", "Choose another name, or delete that folder."
        )


def inspect(
    data: DataSpec, medium: str, task: str, settings: Settings, name: str = ""
) -> Inspection:
    """Ingest data as a run would, and survey what its task can learn from it.

    Raises:
        Refusal: it is too little.
        SourceError: it is damaged, or no item of it can be decoded.
    """
    with open_source(data.source, settings, reading_of(data, medium, task)) as source:
        chosen = medium_named(medium).suggest(source.chunks)
    data = data.model_copy(
        update={key: value for key, value in chosen.items() if not getattr(data, key)}
    )
    anchored = open_anchored(settings)
    forgotten = Forgotten.of(anchored.ledger, name)
    snapshot = ingest(data, medium, anchored.store, settings, task, forgotten=forgotten)
    manifest = f"snapshots/{snapshot.digest}/{MANIFEST}"
    anchored.ledger.anchor({manifest: snapshot.manifest_sha256})
    counts: Counts = Counter()
    groups = Counter[tuple[str, str, str]]()
    items = 0
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["split", "label", "group", "item"])
        columns = (table[name].to_pylist() for name in ("split", "label", "group"))
        rows = [
            ("train" if s == "val" else s, *r) for s, *r in zip(*columns, strict=True)
        ]
        groups.update(rows)
        counts.update((split, label) for split, label, _ in rows)
        items += pc.count_distinct(table["item"]).as_py()  # equal ones share a shard
    rejected = read_rejected(snapshot)
    surveyor = task_named(task).survey
    try:
        labels = rejected["label"].to_pylist()
        survey = surveyor.survey(data.source, counts, items, labels)
    except Refusal as refusal:
        raise _first_failing(snapshot, rejected, data.source) or refusal from None
    survey = surveyor.count_groups(survey, groups)
    survey = surveyor.look(survey, _learned_items(snapshot))
    return Inspection(data, snapshot, _with_marks(survey, counts, snapshot))


def _with_marks(survey: Survey, counts: Counts, snapshot: SnapshotRecord) -> Survey:
    """The survey with a gate on marks, where one gives a class away."""
    sample = find_marks(SplitRows(snapshot, "train"), snapshot.description)
    if sample is None or not sample.marks:
        return survey
    data = snapshot.description
    labels = [label_of(target, data) for target in sample.marks]
    tested = [label for split, label in counts if split == "test"]
    column = pa.chunked_array([pa.array(tested, pa.string())])
    targets = task_named(data.task).labels.encode(column, data)
    rows = Counter[Any]()
    for target, label in zip(targets.tolist(), tested, strict=True):
        rows[target] += counts["test", label]
    share = threshold_for(min(rows[target] for target in sample.marks))
    gate = {"name": "shortcut", "threshold": float(f"{share * survey.worst:.4g}")}
    names = some([repr(label) for label in labels], _SHOWN)
    message = (
        f"a mark in the images gives {names} away: they have one value at one place, "
        f"and no others do; the gate shortcut refuses a model that needs it"
    )
    finding = Finding(check="class_mark", count=len(labels), message=message)
    return replace(
        survey,
        head=[*survey.head, f"# A mark gives {names} away, hence the gate shortcut."],
        gates=[*survey.gates, gate],
        findings=[*survey.findings, finding],
    )


def _first_failing(
    snapshot: SnapshotRecord, rejected: pa.Table, source: str
) -> Refusal | None:
    """Why so many rows cannot be used that too few are left; None if few cannot."""
    count, rows = len(rejected), len(rejected) + sum(snapshot.rows.values())
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


def _learned_items(snapshot: SnapshotRecord) -> Iterator[pa.ChunkedArray]:
    for shard in shards_of(snapshot):
        medium = snapshot.description.medium  # the name of the column as well
        table = read_shard(snapshot, shard, ["split", medium])
        yield table.filter(pc.not_equal(table["split"], "test"))[medium]


def _tables(inspection: Inspection) -> Iterator[str]:
    data, survey = inspection.data, inspection.survey
    description = inspection.snapshot.description
    medium, task = medium_named(description.medium), description.task
    yield f"medium = {_value(description.medium)}"
    if task != DEFAULT_TASK:
        yield f"task = {_value(task)}"
    fields: dict[str, Any] = {"source": data.source}
    if not medium.PADDED:
        fields["shape"] = list(description.shape)
    named = (*fields_of(description.medium), *_FIELDS)
    fields |= {name: getattr(data, name) or None for name in named}
    fields["test_groups"] = list(data.test_groups) or None
    yield from _table("[data]", {**fields, **survey.fields})
    own = task_default(task, "BUILDERS") or {}
    builder = own.get(description.medium) or medium.BEST_BUILDER
    yield from _table("[model]", {"builder": builder})
    if taken := arguments_of(builder) & survey.arguments.keys():
        chosen = {name: survey.arguments[name] for name in sorted(taken)}
        yield from _table("[model.arguments]", chosen)
    least = max(least_steps(builder), survey.least_steps)
    recipe = TrainingSpec.model_validate(recipe_of(description.medium, builder, task))
    yield from training_lines(recipe, survey, least, inspection.snapshot.rows)
    yield from _augmentation(description.medium, task, survey.rows["train"])
    champion: dict[str, Any] = {"name": "champion"}
    if gain := task_default(task, "GAIN"):
        champion["arguments"] = {"gain": gain}
    for gate in (*survey.gates, {"name": "finite"}, {"name": "size"}, champion):
        yield from _table("[[gates]]", gate)


def _augmentation(medium: str, task: str, rows: int) -> Iterator[str]:
    """A table of what suits few rows; what its user must judge of is in comments."""
    used = used_by_new(medium, task) if rows <= FEW_ROWS else ()
    if usual := suggested(medium, task):
        yield "\n# Augmentation: use what does not change the meaning of an item."
        yield f"{'' if used else '# '}[training.augment]"
        for name, value in usual.items():
            yield f"{'' if name in used else '# '}{name} = {_value(value)}"


def _table(head: str, fields: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", head)
    for name, value in fields.items():
        if value is not None:
            yield f"{name} = {_value(value)}"


def _value(value: Any) -> str:
    """A value in TOML, in one line, with its invisible characters escaped."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{key} = {_value(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    text = json.dumps(value, ensure_ascii=False)
    return UNSEEN.sub(lambda match: f"\\U{ord(match[0]):08x}", text)


def _readme(name: str, inspection: Inspection) -> str:
    survey, snapshot = inspection.survey, inspection.snapshot
    medium = snapshot.description.medium
    return _README.format(
        name=name,
        summary=survey.summary.format(medium=medium),
        source=as_code(inspection.data.source),
        form=" x ".join(map(str, snapshot.description.shape)),
        units=medium_named(medium).UNITS,
        notes="".join(f"\n- {as_markdown(note)}" for note in snapshot.notes),
        labels="\n".join(survey.readme),
        limits=survey.limits,
    )
