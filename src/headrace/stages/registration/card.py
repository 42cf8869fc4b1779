"""The model card: what a version's page in MLflow says."""

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
from headrace.spec import CHECKPOINT_FIELDS
from headrace.spec.fields import changes_of_fields, fields_of, fields_of_file
from headrace.spec.law import changes, recorded_changes
from headrace.spec.readme import read_readme, split_readme
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
    """The version's description, Markdown.

    It has what was run and how that did, and of the pipeline's README what does not
    tell of one model.
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
    """How it was made, as lines of a list."""
    fields = spec.training.model_dump(
        mode="json", exclude=CHECKPOINT_FIELDS | {"epochs"}
    )
    settings = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in fields.items())
    best = int(training.metrics.get("best_epoch", 0)) or "unknown"
    changes = changes_of_fields(fields_of_file(spec, folder), fields_of(spec))
    return "\n".join(
        [
            f"- `{builder_name(spec)}`, of {training.model_bytes / 1e6:.1f} MB",
            *[f"- {k.replace('_', ' ')} {v}" for k, v in spec.model.arguments.items()],
            f"- Trained for {spec.training.epochs} epochs; it has the weights of epoch "
            f"{best}",
            f"- {settings[:1].upper()}{settings[1:]}",
            *[f"- Not as in the pipeline's file: {change}" for change in changes],
        ]
    )


def gate_table(gates: Sequence[GateResult]) -> str:
    """The gates as a table, Markdown."""
    heads = [
        "| gate | verdict | value | threshold | |",
        "| --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*heads, *map(_gate_row, gates)])


def law_section(
    evidence: Sequence[Evidence], standing: Evidence, before: Evidence | None
) -> str:
    """The part of the card that says by which law the version was judged, Markdown.

    Args:
        evidence: all of the version's, oldest first.
        standing: the one that the card's figures are from.
        before: the champion's that it was compared with; None where there was none.
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
    lines += [
        f"| {row.id} | {row.champion_version or 'none'} | `{row.law_digest[:12]}`"
        f"{', overridden: ' + ', '.join(row.overrides) if row.overrides else ''} | "
        f"{verdict(row.gates)} |"
        for row in evidence
    ]
    return "\n".join(lines) + "\n"


def _gate_row(gate: GateResult) -> str:
    outcome = "passed" if gate.passed else "**failed**"
    value, bound = number(gate.value), number(gate.threshold)
    return f"| {gate.name} | {outcome} | {value} | {bound} | {gate.reason} |"


def number(value: float | None) -> str:
    """A number to four digits; empty where there is none."""
    return "" if value is None else f"{value:.4g}"
