"""The registration stage: one version for each training, with its evidence."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.display.signs import as_score
from headrace.models import builder_name
from headrace.models.logged.checks import file_mismatches
from headrace.models.logged.copies import keep_copy, restore
from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import fields_of, fields_of_file
from headrace.pipeline.law import (
    Law,
    changes_of_fields,
    read_law,
)
from headrace.pipeline.readme import read_readme, split_readme, summary
from headrace.pipeline.training import CHECKPOINT_FIELDS
from headrace.records import (
    EvaluationRecord,
    GateResult,
    RegistrationRecord,
    SnapshotRecord,
    TrainingRecord,
    verdict,
)
from headrace.state.backbones import as_known
from headrace.state.home import Home
from headrace.state.ledger import Evidence, Ledger, Version
from headrace.state.tracking import version_tags
from headrace.tasks import task

log = logging.getLogger("headrace")


def find_version(
    model: str, training: TrainingRecord, ledger: Ledger
) -> Version | None:
    """The newest version of a training, if it was registered."""
    return ledger.find_training(model, training.identity)


def register(  # noqa: PLR0913
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    training: TrainingRecord,
    evaluation: EvaluationRecord,
    home: Home,
    law: Law | None = None,
) -> RegistrationRecord:
    """Register a training whose serving gate passes. The operation is idempotent.

    Failed gates are recorded as evidence, so the version cannot be promoted without
    ``--force``. Evidence is added, never changed.

    Args:
        spec: the pipeline, as it was applied.
        folder: with the pipeline's file, and its README for the model card.
        home: with the lease of the run.
        law: of the file and of the run; by default read from ``folder``.

    Raises:
        DependencyError: another run has taken over the lease.
        SpecError: ``law`` is not given, and the pipeline's file cannot be read.
    """
    law = law or read_law(spec, folder, home.settings.folders)
    serving = [g for g in evaluation.gates if g.kind == "serving"]
    if not serving or not all(gate.passed for gate in serving):
        reason = serving[0].reason if serving else "the serving gate was not run"
        return RegistrationRecord(model=spec.name, version=None, reason=reason)
    ledger, tracking = home.ledger, home.tracking
    of_run = _Registration(spec, folder, snapshot, training, home)
    version = find_version(spec.name, training, ledger)
    if version is None or of_run.replaces(version):
        ledger.check_lease()  # before MLflow has a version that the ledger refuses
        version = of_run.add(evaluation)
    shared = Evidence.model_fields.keys() & EvaluationRecord.model_fields.keys()
    evidence = ledger.add_evidence(
        Evidence(
            model=spec.name,
            version=version.version,
            passed=bool(spec.gates) and all(g.passed for g in evaluation.gates),
            law={"committed": law.committed, "applied": law.applied, "file": law.file},
            law_digest=law.digest,
            overrides=law.overrides,
            **{**evaluation.model_dump(include=shared), "run_id": training.run_id},
        )
    )
    of_run.describe(version)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        file = Path(place) / f"{law.digest[:16]}.toml"
        file.write_text(law.file, encoding="utf-8")
        tracking.log_files(training.run_id, Path(place), "law")
    number = version.version
    return RegistrationRecord(model=spec.name, version=number, evidence_id=evidence.id)


@dataclass(frozen=True, slots=True)
class _Registration:
    """A training that is registered, and where."""

    spec: PipelineSpec
    folder: Path
    snapshot: SnapshotRecord
    training: TrainingRecord
    home: Home

    def card(self, judged: EvaluationRecord | Evidence) -> str:
        """The text of the model card, which MLflow shows with the version."""
        training = self.training
        if training.backbone:  # whose licence may be known by now
            known = as_known(training.backbone, self.home)
            training = training.model_copy(update={"backbone": known})
        return model_card(self.spec, self.folder, self.snapshot, training, judged)

    def tags(self, judged: EvaluationRecord | Evidence) -> dict[str, str]:
        """The tags of its version on its results."""
        learned = task(self.training.description.task)
        return learned.result_tags(judged.metrics, judged.gates)

    def add(self, evaluation: EvaluationRecord) -> Version:
        """Add a version to MLflow and to the ledger."""
        training, name, home = self.training, self.spec.name, self.home
        details = keep_copy(training, home)
        if limit := self.spec.data.max_item_bytes:
            details["max_item_bytes"] = limit
        number = home.tracking.create_version(
            name,
            training.model_uri,
            training.run_id,
            {**self.tags(evaluation), **version_tags(training)},
            self.card(evaluation),
            taken={version.version for version in home.ledger.versions(name)},
        )
        return home.ledger.add_version(
            Version(
                model=name,
                version=number,
                training=training.identity,
                created_by=home.settings.user,
                **training.model_dump(include=set(Version.model_fields)),
                details={
                    "description": training.description.model_dump(mode="json"),
                    "snapshot": self.snapshot.model_dump(mode="json"),
                    "training": training.model_dump(mode="json"),
                    **details,
                },
            )
        )

    def replaces(self, version: Version) -> bool:
        """Whether a version with equal weights has lost its files, in the store too."""
        if self.training.run_id == version.run_id:
            return False
        if not any(file_mismatches(version, self.home)):
            return False
        restore(version, self.home)
        is_lost = any(file_mismatches(version, self.home))
        if is_lost:
            log.warning("%s has lost its files: a new version replaces it", version)
        return is_lost

    def describe(self, version: Version) -> None:
        """Update names, tags and cards of MLflow's run and version from the ledger."""
        name, ledger = self.spec.name, self.home.ledger
        tracking = self.home.tracking
        standing = ledger.standing_evidence(name, version.version)
        if standing is None:
            return
        card = self.card(standing)
        tags = {
            "version": str(version.version),
            "verdict": verdict(standing.gates),
            "headrace.experiment": str(standing.experiment).lower(),
            "headrace.overrides": ", ".join(standing.overrides),
            "headrace.law": standing.law_digest,
        }
        tracking.log_tags(self.training.run_id, tags)
        tracking.name_by_version(self.training.run_id, version.version)
        shown = self.tags(standing)
        if standing.overrides:
            shown["verdict"] += f"; overrides {', '.join(standing.overrides)}"
        tracking.tag_version(name, version.version, shown, card)
        tracking.describe_model(name, {}, summary(read_readme(self.spec, self.folder)))


def model_card(
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    training: TrainingRecord,
    evaluation: EvaluationRecord | Evidence,
) -> str:
    """The description of a version, Markdown.

    It has the run, its metrics, and the sections of the pipeline's README that are not
    about one model. It has no title: lists of versions show its first line as it is
    written, and the page of a version has one.
    """
    intro, sections = split_readme(read_readme(spec, folder))
    intro = re.sub(r"\A# .*\n+", "", intro)
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
    epochs = f"{recipe.epochs} epochs"
    if stopped := training.metrics.get("stopped_epoch"):
        epochs = f"{stopped:.0f} of {epochs}, as it stopped early"
    changes = changes_of_fields(fields_of_file(spec, folder), fields_of(spec))
    lines = [
        f"`{builder_name(spec)}`, of {training.model_bytes / 1e6:.1f} MB",
        *[f"{k.replace('_', ' ')} {v}" for k, v in spec.model.arguments.items()],
        *([f"Base model {training.backbone}"] if training.backbone else []),
        f"Trained for {epochs}; it has the weights of epoch {best}",
        f"{settings[:1].upper()}{settings[1:]}",
        *[f"Not as in the pipeline's file: {change}" for change in changes],
    ]
    return "\n".join(f"- {line}" for line in lines)


def gate_table(gates: Sequence[GateResult]) -> str:
    """The gates as a table, Markdown."""
    lines = ["| gate | verdict | value | threshold | |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for gate in gates:
        outcome = "passed" if gate.passed else "**failed**"
        value = as_score(gate.value)
        bound = "" if gate.threshold is None else f"{gate.threshold:g}"
        lines.append(f"| {gate.name} | {outcome} | {value} | {bound} | {gate.reason} |")
    return "\n".join(lines)
