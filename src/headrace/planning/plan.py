"""A run's plan: the keys of its stages, their results, and whether work is left."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace.data.corrections import Corrections, ForgottenItems, find_corrections
from headrace.data.sources.identity import source_identity
from headrace.imports import extensions
from headrace.models import builder_name
from headrace.pipeline import PipelineSpec
from headrace.pipeline.law import Law, changes, read_law
from headrace.pipeline.tables import SpecTable
from headrace.pipeline.training import CHECKPOINT_FIELDS
from headrace.planning.candidates import candidates_of
from headrace.planning.results import Results, StageKey, ingredients_of
from headrace.records import (
    DEFAULT_TASK,
    ChoiceRecord,
    ContractRecord,
    EvaluationRecord,
    Finding,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.stages.attempts import attempts_of, earlier_attempts
from headrace.stages.ingredients import closure, training_roots
from headrace.stages.registration import find_version
from headrace.state.home import Home
from headrace.state.ledger import Evidence
from headrace.tasks import task_modules

LIMITS = {"quarantine_limit", "leak_limit"}  # of the contract: they choose no rows
_WITHOUT_KERAS = {"ingest", "validate"}  # though a medium's module imports it


@dataclass(frozen=True)
class LastResults:
    """The valid results of the last run, up to the first invalid one."""

    snapshot: SnapshotRecord | None = None
    contract: ContractRecord | None = None
    training: TrainingRecord | None = None
    evaluation: EvaluationRecord | None = None


class Plan(Results):
    """The keys of one pipeline's stages, and the results that exist already.

    Args:
        spec: the pipeline.
        folder: its folder.
        home: where the store and the ledger are.

    Attributes:
        asked: the pipeline as given.
        spec: the same or, where it names a family to choose from, the pipeline with
            the model that is trained or was kept.
        choice: which was kept; None where there was none to choose from.
    """

    choice: ChoiceRecord | None = None

    def __init__(self, spec: PipelineSpec, folder: Path, home: Home) -> None:
        super().__init__(spec, folder, home)
        self.asked = spec

    @cached_property
    def law(self) -> Law:
        """The law that the spec applies, and that of the pipeline's file.

        Raises:
            NotFoundError: the folder has no pipeline file.
            SpecError: it cannot be read.
        """
        return read_law(self.spec, self.folder, self.settings.folders)

    @cached_property
    def champion(self) -> Evidence | None:
        """The evidence of the champion, as it was at the first access."""
        name, ledger = self.spec.name, self.home.ledger
        champion = ledger.champion(name)
        if champion is None:
            return None
        return ledger.standing_evidence(name, champion.version.version)

    def other_law(self) -> list[Finding]:
        """A line if the champion was judged by another law than the file has."""
        champion = self.champion
        if champion is None or champion.law_digest == self.law.digest:
            return []
        edits = changes(champion.law.get("committed", {}), self.law.committed)
        message = (
            f"the pipeline's file is not that of the champion, version "
            f"{champion.version}: {'; '.join(map(str, edits))}"
        )
        return [Finding(check="law", message=message)]

    @cached_property
    def last(self) -> LastResults:
        """The last results, as they were at the first access."""
        with closure.remembered(self.settings.home):
            contract = training = evaluation = None
            snapshot = self.find(self.ingest(), SnapshotRecord)
            if snapshot is not None:
                contract = self.find(self.validate(snapshot), ContractRecord)
            if snapshot and contract and self.settle(snapshot, contract):
                training = self.find(self.train(snapshot, contract), TrainingRecord)
            if contract and training:
                key = self.evaluate(contract, training, self.comparator(training))
                evaluation = self.find(key, EvaluationRecord)
            return LastResults(snapshot, contract, training, evaluation)

    @cached_property
    def corrections(self) -> Corrections:
        """The corrected labels of the pipeline, as they were at the first access."""
        return find_corrections(self.home.store, self.spec.name)

    @property
    def forgotten(self) -> ForgottenItems:
        """What was forgotten in the pipeline's data, at this moment."""
        return ForgottenItems.of(self.home.ledger, self.spec.name)

    @property
    def builder(self) -> str:
        """The model builder: the spec's, else the medium's default."""
        return builder_name(self.spec)

    def ingest(self) -> StageKey:
        """The key of the snapshot."""
        data = self.spec.data.model_dump(mode="json", exclude=LIMITS)
        sources = extensions.modules("sources").values()
        task = {} if self.spec.task == DEFAULT_TASK else {"task": self.spec.task}
        changed = {
            "corrections": self.corrections.digest,
            "forgotten": self.forgotten.digest,
        }
        return self._key(
            "ingest",
            {"data": data, "medium": self.spec.medium, **task},
            {
                "source": source_identity(
                    self.spec.data.source, self.settings, self.spec.medium
                ),
                **{name: digest for name, digest in changed.items() if digest},
            },
            [*self._roots("ingestion"), *sources],
        )

    def validate(self, snapshot: SnapshotRecord) -> StageKey:
        """The key of the contract's verdict."""
        data = self.spec.data.model_dump(mode="json", include={"classes", *LIMITS})
        contract = _in_any_order(self.spec.contract)
        return self._key(
            "validate",
            {"data": data, "contract": contract},
            {"snapshot": snapshot.digest},
            self._roots("validation"),
        )

    def train(self, snapshot: SnapshotRecord, contract: ContractRecord) -> StageKey:
        """The key of the training."""
        private = {}
        if self.spec.training.privacy is not None:
            private = {"privacy seed": self.settings.privacy_fingerprint or "recipe"}
        return self._key(
            "train",
            {
                "model": {**self.spec.model.facts, "builder": self.builder},
                "training": self.spec.training.model_dump(exclude=CHECKPOINT_FIELDS),
            },
            {
                "pipeline": self.spec.name,
                "snapshot": snapshot.digest,
                "form": snapshot.description.model_dump_json(),
                "quarantine": Path(contract.quarantine_uri).name,
                **private,
            },
            training_roots(self.spec, self.builder),
            sorted(self.folder.glob("*.py")),
        )

    def why(self, key: StageKey) -> str:
        """Why a stage has to run; of a candidate, that it is one."""
        is_candidate = key.stage == "train" and self.asked.model.against
        if is_candidate and self.choice is None:
            return f"{self.builder}, one of the models to choose from"
        return super().why(key)

    def candidates(self, snapshot: SnapshotRecord) -> tuple[PipelineSpec, ...]:
        """The pipelines that a run on a snapshot trains, each with one model."""
        return candidates_of(self.asked, snapshot.rows)

    def choose(self, snapshot: SnapshotRecord, contract: ContractRecord) -> StageKey:
        """The key of the choice between the candidates: all that they depend on."""
        named, *others = (
            Plan(spec, self.folder, self.home).train(snapshot, contract)
            for spec in self.candidates(snapshot)
        )
        against = {
            f"input {self.asked.model.against}": other.fingerprint for other in others
        }
        return StageKey("choose", {**named.ingredients, **against})

    def settle(self, snapshot: SnapshotRecord, contract: ContractRecord) -> bool:
        """Go on with the model that was kept.

        Returns:
            whether one was; False where the candidates have not been compared.
        """
        self.spec, *others = self.candidates(snapshot)
        if not others:
            return True
        self.choice = self.find(self.choose(snapshot, contract), ChoiceRecord)
        if self.choice is not None:
            both = {spec.model.builder: spec for spec in (self.spec, *others)}
            self.spec = both[self.choice.kept]
        return self.choice is not None

    def evaluate(
        self,
        contract: ContractRecord,
        training: TrainingRecord,
        comparator: int | None,
    ) -> StageKey:
        """The key of the evaluation, which includes the champion."""
        gates = _in_any_order(self.spec.gates)
        modules = extensions.modules("gates")
        kinds = sorted({modules[gate.kind] for gate in self.spec.gates if gate.kind})
        medium = extensions.modules("media")[self.spec.medium]
        return self._key(
            "evaluate",
            {"evaluation": self.spec.evaluation.model_dump(), "gates": gates},
            {
                "snapshot": training.snapshot_digest,
                "form": training.description.model_dump_json(),
                "quarantine": Path(contract.quarantine_uri).name,
                "run": training.run_id,
                "model": training.model_digest,
                **self._compared(training, comparator),
            },
            # The ladder counts whether the medium has one or not.
            [*self._roots("evaluation", "judge"), f"{medium}.ladder", *kinds],
        )

    def _roots(self, stage: str, *own: str) -> list[str]:
        """The modules from which a stage's code is collected."""
        return [
            f"headrace.stages.{stage}",
            extensions.modules("media")[self.spec.medium],
            *task_modules(self.spec.task, *own),
        ]

    def comparator(self, training: TrainingRecord) -> int | None:
        """The version that a training is compared with.

        This is the champion. The champion itself is compared with the version that it
        was compared with when it was promoted.
        """
        champion = self.home.ledger.champion(self.spec.name)
        if champion is None:
            return None
        own = find_version(self.spec.name, training, self.home.ledger)
        if own is None or own.version != champion.version.version:
            return champion.version.version
        evidence = self.home.ledger.standing_evidence(self.spec.name, own.version)
        return evidence.champion_version if evidence else None

    def _compared(
        self, training: TrainingRecord, champion: int | None
    ) -> dict[str, str]:
        """What a comparison depends on: the champion and the number of attempts."""
        if champion is None:
            return {"champion": "none"}
        name, own, ledger = self.spec.name, training.identity, self.home.ledger
        attempts, snapshot = attempts_of(ledger, name), training.snapshot_digest
        version = ledger.version(name, champion)
        return {
            "champion": f"{champion} {version.model_digest}",
            "earlier attempts": str(
                earlier_attempts(attempts, own, champion, snapshot)
            ),
        }

    def _key(
        self,
        stage: str,
        spec: dict[str, Any],
        inputs: dict[str, str],
        roots: list[str],
        files: list[Path] | None = None,
    ) -> StageKey:
        code = closure.code_state(roots, files or ())
        if stage in _WITHOUT_KERAS:
            code.pop("version keras", None)
        return StageKey(stage, ingredients_of(spec, inputs, code))


def _in_any_order(rows: Iterable[SpecTable]) -> list[dict[str, Any]]:
    """Rows of a table of the file, whose order is no part of a key."""
    dumped = (row.model_dump(mode="json") for row in rows)
    return sorted(dumped, key=lambda row: json.dumps(row, sort_keys=True))
