"""The model card: the description of a version in MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.models import builder_name
from headrace.records import (
    EvaluationRecord,
    GateResult,
    SnapshotRecord,
    TrainingRecord,
    verdict,
)
from headrace.spec.files import fields_of, fields_of_file, read_readme, split_readme
from headrace.spec.law import changes, changes_of_fields, recorded_changes
from headrace.spec.training import CHECKPOINT_FIELDS
from headrace.state.ledger import Evidence
from headrace.tasks import task

if TYPE_CHECKING:
    from headrace.spec import PipelineSpec


def model_card(
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    training: TrainingRecord,
    evaluation: EvaluationRecord | Evidence,
) -> str:
    """The description of a version, Markdown.

    It has the run, its metrics, and the sections of the pipeline's README that are not
    about one model.
    """
    intro, sections = split_readme(read_readme(spec, folder))
    learned = task(training.description.task).answers
    figures = learned.figures(evaluation.metrics)
    rows = ", ".join(f"{count:,} {split}" for split, count in snapshot.rows.items())
    return f"""{intro}

## This version

- {figures[:1].upper()}{figures[1:]}; intervals have \
{spec.evaluation.confidence:.0%} confidence
- Gates: {verdict(evaluation.gates)}
- Data: {rows} rows of {snapshot.source}; snapshot `{snapshot.digest}`
- {snapshot.attribution or "No attribution was given with the data."}
- Input: {spec.medium} {training.description.shape}, raw; \
{learned.about(training.description)}
- Weights `{training.weights_digest}`

## Model

{_model(spec, folder, training)}

## Gates

{gate_table(evaluation.gates)}

{sections}
"""


def _model(spec: PipelineSpec, folder: Path, training: TrainingRecord) -> str:
    """The model and its training, as a list."""
    recipe, hidden = spec.training, CHECKPOINT_FIELDS | {"epochs"}
    fields = recipe.model_dump(mode="json", exclude=hidden)
    settings = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in fields.items())
    best = int(training.metrics.get("best_epoch", 0)) or "unknown"
    changes = changes_of_fields(fields_of_file(spec, folder), fields_of(spec))
    lines = [
        f"`{builder_name(spec)}`, of {training.model_bytes / 1e6:.1f} MB",
        *[f"{k.replace('_', ' ')} {v}" for k, v in spec.model.arguments.items()],
        f"Trained for {recipe.epochs} epochs; it has the weights of epoch {best}",
        f"{settings[:1].upper()}{settings[1:]}",
        *[f"Not as in the pipeline's file: {change}" for change in changes],
    ]
    return "\n".join(f"- {line}" for line in lines)


def gate_table(gates: Sequence[GateResult]) -> str:
    """The gates as a table, Markdown."""
    lines = [
        "| gate | verdict | value | threshold | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for gate in gates:
        outcome = "passed" if gate.passed else "**failed**"
        value, bound = number(gate.value), number(gate.threshold)
        lines.append(f"| {gate.name} | {outcome} | {value} | {bound} | {gate.reason} |")
    return "\n".join(lines)


def law_section(
    evidence: Sequence[Evidence], standing: Evidence, before: Evidence | None
) -> str:
    """The section of the card on the law by which the version was judged, Markdown.

    Args:
        evidence: all rows of the version, oldest first.
        standing: the row with the card's metrics.
        before: that of the champion it was compared with, if any.
    """
    lines = ["", "## Law and evidence", ""]
    lines.append(f"- Law of the pipeline file `{standing.law_digest}`")
    for change in recorded_changes(standing.law):
        lines.append(f"- Experiment: it overrides {change}")
    if before is not None and before.law_digest != standing.law_digest:
        old, new = before.law.get("committed", {}), standing.law.get("committed", {})
        lines += [
            f"- Change of law since version {before.version}: {change}"
            for change in changes(old, new)
        ]
    lines += ["", "| evidence | compared with | law | verdict |"]
    lines += ["| --- | --- | --- | --- |"]
    for row in evidence:
        law = f"`{row.law_digest[:12]}`"
        if row.overrides:
            law += f", overridden: {', '.join(row.overrides)}"
        champion = row.champion_version or "none"
        lines.append(f"| {row.id} | {champion} | {law} | {verdict(row.gates)} |")
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    """A number to four digits; empty where there is none."""
    return "" if value is None else f"{value:.4g}"
