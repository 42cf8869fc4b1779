"""The model card: what a version's page in MLflow says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.records import (
    EvaluationRecord,
    GateResult,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.spec.law import changes, recorded_changes
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
    """The version's description: the pipeline's README and the figures, Markdown."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else spec.description
    learned = task(training.description.task).answers
    figures = learned.figures(evaluation.metrics)
    rows = ", ".join(f"{count:,} {split}" for split, count in snapshot.rows.items())
    gates = "\n".join(map(_gate_row, evaluation.gates))
    return f"""{text.strip()}

## This version

- {figures[:1].upper()}{figures[1:]}; intervals have \
{spec.evaluation.confidence:.0%} confidence
- Data: {rows} rows of {snapshot.source}; snapshot `{snapshot.digest}`
- {snapshot.attribution or "No attribution was given with the data."}
- Input: {spec.medium} {training.description.shape}, raw; \
{learned.about(training.description)}
- Weights `{training.weights_digest}`

| gate | verdict | value | threshold | |
| --- | --- | --- | --- | --- |
{gates}
"""


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
        f"{_outcome(row)} |"
        for row in evidence
    ]
    return "\n".join(lines) + "\n"


def _outcome(evidence: Evidence) -> str:
    failed = [gate.name for gate in evidence.gates if not gate.passed]
    if failed:
        return f"**failed**: {', '.join(failed)}"
    return "passed" if evidence.passed else "there were no gates"


def _gate_row(gate: GateResult) -> str:
    verdict = "passed" if gate.passed else "**failed**"
    value = "" if gate.value is None else f"{gate.value:.4g}"
    bound = "" if gate.threshold is None else f"{gate.threshold:.4g}"
    return f"| {gate.name} | {verdict} | {value} | {bound} | {gate.reason} |"
