"""The keys of a pipeline's stages, and their stored results."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace import extensions
from headrace.data.sources.identity import source_identity
from headrace.errors import DependencyError
from headrace.models import builder_name
from headrace.planning.keys import Key, ingredients_of
from headrace.planning.results import Results
from headrace.records import (
    DEFAULT_TASK,
    ContractRecord,
    EvaluationRecord,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.spec import CHECKPOINT_FIELDS, PipelineSpec
from headrace.spec.law import Law, read_law
from headrace.stages.ingredients import closure, training_roots
from headrace.stages.registration import training_key
from headrace.state.cache import user_cache
from headrace.state.ledger import earlier_attempts, find_best_former
from headrace.state.store import Store
from headrace.tasks import task_modules

_WITHOUT_KERAS = {"ingest", "validate"}  # though a medium's module imports it


@dataclass(frozen=True, slots=True)
class LastResults:
    """The valid results of the last run, up to the first invalid one."""

    snapshot: SnapshotRecord | None = None
    contract: ContractRecord | None = None
    training: TrainingRecord | None = None
    evaluation: EvaluationRecord | None = None


@contextlib.contextmanager
def remembered_code(home: Path) -> Iterator[None]:
    """Remember the code that is parsed in the block, for later processes.

    Not in the store: whoever writes there could hide that code has changed.

    Args:
        home: keeps it where the user has no cache folder.
    """
    place, key = Store(str(user_cache("") or home)), f"code/{closure.dialect()}.json"
    known = closure.recall(place.read_json(key))
    yield
    if not closure.parsed().keys() <= known:
        with contextlib.suppress(DependencyError, OSError):  # reported by later writes
            place.write_json(key, closure.parsed())


class Plan(Results):
    """The keys of one pipeline's stages, and the results that exist already.

    Args:
        spec: the pipeline.
        folder: its folder.
        settings: where the store and the ledger are.
    """

    def __init__(self, spec: PipelineSpec, folder: Path, settings: Settings) -> None:
        self.spec = spec
        self.folder = folder
        self.settings = settings
        self.store = Store(settings.store)

    @cached_property
    def law(self) -> Law:
        """The law that the spec applies, and that of the pipeline's file.

        Raises:
            NotFoundError: the folder has no pipeline file.
            SpecError: it cannot be read.
        """
        settings = self.settings
        return read_law(self.spec, self.folder, settings.project, settings.folders)

    @cached_property
    def last(self) -> LastResults:
        """The last results, as they were at the first access."""
        with remembered_code(self.settings.home):
            return self._find_last()

    def _find_last(self) -> LastResults:
        snapshot = self.find(self.ingest(), SnapshotRecord)
        if snapshot is None:
            return LastResults()
        contract = self.find(self.validate(snapshot), ContractRecord)
        if contract is None:
            return LastResults(snapshot)
        training = self.find(self.train(snapshot, contract), TrainingRecord)
        if training is None:
            return LastResults(snapshot, contract)
        key = self.evaluate(contract, training, self.comparator(training))
        return LastResults(
            snapshot, contract, training, self.find(key, EvaluationRecord)
        )

    @property
    def builder(self) -> str:
        """The model builder: the spec's, else the medium's default."""
        return builder_name(self.spec)

    def ingest(self) -> Key:
        """The key of the snapshot."""
        data = self.spec.data.model_dump(
            mode="json", exclude={"quarantine_limit", "leak_limit"}
        )
        return self._key(
            "ingest",
            {"data": data, "medium": self.spec.medium} | self._task,
            {"source": source_identity(self.spec.data.source, self.settings)},
            [
                *self._roots("ingestion", "labels"),
                *extensions.modules("sources").values(),
            ],
        )

    def validate(self, snapshot: SnapshotRecord) -> Key:
        """The key of the contract's verdict."""
        data = self.spec.data.model_dump(
            mode="json", include={"classes", "quarantine_limit", "leak_limit"}
        )
        contract = [row.model_dump(mode="json") for row in self.spec.contract]
        return self._key(
            "validate",
            {"data": data, "contract": contract},
            {"snapshot": snapshot.digest},
            self._roots("validation", "labels", "contract"),
        )

    def train(self, snapshot: SnapshotRecord, contract: ContractRecord) -> Key:
        """The key of the training."""
        return self._key(
            "train",
            {
                "model": {**self.spec.model.model_dump(), "builder": self.builder},
                "training": self.spec.training.model_dump(exclude=CHECKPOINT_FIELDS),
            },
            {
                "pipeline": self.spec.name,
                "snapshot": snapshot.digest,
                "form": snapshot.description.model_dump_json(),
                "quarantine": Path(contract.quarantine_uri).name,
            },
            training_roots(self.spec, self.builder),
            sorted(self.folder.glob("*.py")),
        )

    def evaluate(
        self,
        contract: ContractRecord,
        training: TrainingRecord,
        comparator: int | None,
    ) -> Key:
        """The key of the evaluation, which includes the opponents."""
        gates = [gate.model_dump() for gate in self.spec.gates]
        kinds = {gate.kind for gate in self.spec.gates if gate.kind}
        return self._key(
            "evaluate",
            {"evaluation": self.spec.evaluation.model_dump(), "gates": gates},
            {
                "snapshot": training.snapshot_digest,
                "form": training.description.model_dump_json(),
                "quarantine": Path(contract.quarantine_uri).name,
                "run": training.run_id,
                "model": training.model_digest,
                **self._opponents(training, comparator),
            },
            [
                *self._roots("evaluation", "labels", "judge"),
                *(extensions.modules("gates")[kind] for kind in sorted(kinds)),
            ],
        )

    @property
    def _task(self) -> dict[str, str]:
        """The task; empty for the one that the keys of older releases imply."""
        task = self.spec.task
        return {} if task == DEFAULT_TASK else {"task": task}

    def _roots(self, stage: str, *parts: str) -> list[str]:
        """The modules from which a stage's code is collected."""
        return [
            f"headrace.stages.{stage}",
            extensions.modules("media")[self.spec.medium],
            *task_modules(self.spec.task, *parts),
        ]

    def comparator(self, training: TrainingRecord) -> int | None:
        """The version that a training is compared with.

        This is the champion. The champion itself is compared with the version that it
        was compared with when it was promoted.
        """
        champion = self.ledger.champion(self.spec.name)
        if champion is None:
            return None
        own = self.ledger.find_training(self.spec.name, training_key(training))
        if own is None or own.version != champion.version.version:
            return champion.version.version
        evidence = self.ledger.standing_evidence(self.spec.name, own.version)
        return evidence.champion_version if evidence else None

    def _opponents(
        self, training: TrainingRecord, champion: int | None
    ) -> dict[str, str]:
        """What a comparison depends on: the opponents and the number of attempts."""
        if champion is None:
            return {"champion": "none"}
        name, weights = self.spec.name, training.weights_digest
        earlier = earlier_attempts(
            self.ledger.attempts(name), weights, champion, training.snapshot_digest
        )
        best = find_best_former(self.ledger, name, champion, weights).version
        opponents = {"champion": champion} | ({"best champion": best} if best else {})
        versions = {key: self.ledger.version(name, n) for key, n in opponents.items()}
        return {
            **{key: f"{v.version} {v.model_digest}" for key, v in versions.items()},
            "earlier attempts": str(earlier),
        }

    def _key(
        self,
        stage: str,
        spec: dict[str, Any],
        inputs: dict[str, str],
        roots: list[str],
        files: list[Path] | None = None,
    ) -> Key:
        code = closure.code_state(roots, files or ())
        if stage in _WITHOUT_KERAS:
            code.pop("version keras", None)
        return Key(stage, ingredients_of(spec, inputs, code))
