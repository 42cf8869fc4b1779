"""The evidence for a promotion by hand, which is made if there is none.

A version is evaluated on its own snapshot, against the present champion, by the law of
the present pipeline file. Its model and its training are those of its own run.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from headrace.errors import NotFoundError, PromotionError
from headrace.pipeline import PipelineSpec, load_spec
from headrace.pipeline.folders import find_pipeline
from headrace.pipeline.law import changes
from headrace.planning.plan import LIMITS, Plan
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.stages import ingredients
from headrace.stages.registration import register
from headrace.state.disk import disk_errors
from headrace.state.folders import in_store
from headrace.state.home import Home
from headrace.state.ledger import Champion, Evidence, Version
from headrace.state.ledger.rules import forcing

log = logging.getLogger("headrace")


def judge(home: Home, version: Version, champion: Champion | None) -> Evidence:
    """The evidence for a version under the present law, which is made if there is none.

    If the pipeline's folder is not found, evidence under any law is accepted.

    Args:
        home: its settings say where the pipelines are.
        version: to promote.
        champion: the present one.

    Raises:
        PromotionError: there is no evidence, and none can be made.
        Refusal: the snapshot breaks the contract.
        IntegrityError: the model or the snapshot is damaged or gone.
        DependencyError: MLflow or the disk failed.
    """
    now = champion.version.version if champion else None
    model, number = version.model, version.version
    plan = _plan(model, home)
    digest = plan.law.digest if plan else None
    if evidence := home.ledger.find_evidence(model, number, now, digest):
        return evidence
    against = f"against the champion {now}" if now else "without a champion"
    missing = f"There is no evidence for version {number} of {model} {against}"
    if plan is None:
        raise _refusal(version, f"{missing}, and its pipeline's folder is not found.")
    _check_law(version, plan)
    snapshot, training = _records(version, plan, missing)
    log.info("promote: %s under the law of its file: evaluating it now", missing)
    return _judge(plan, version, snapshot, training)


def _plan(model: str, home: Home) -> Plan | None:
    """The plan of the present pipeline file; None if it is not found."""
    try:
        folder = find_pipeline(model, home.settings)
    except NotFoundError:
        return None
    spec = load_spec(folder)
    return Plan(spec, folder, home) if spec.name == model else None


def _records(
    version: Version, plan: Plan, missing: str
) -> tuple[SnapshotRecord, TrainingRecord]:
    """The records of the version's data and training, from the ledger."""
    details = version.details
    try:
        snapshot = SnapshotRecord.model_validate(details.get("snapshot"))
        training = TrainingRecord.model_validate(details.get("training"))
    except ValidationError:
        problem = f"{missing}, and the ledger has no record of its training."
        raise _refusal(version, problem) from None
    present = plan.with_manifest(snapshot)
    if present is None:
        place = plan.home.store.uri(f"snapshots/{snapshot.digest}")
        message = f"{missing}, and its snapshot is gone or changed: {place}."
        raise _refusal(version, message)
    return in_store(present, plan.home.store), training


def _judge(
    plan: Plan, version: Version, snapshot: SnapshotRecord, training: TrainingRecord
) -> Evidence:
    from headrace.imports.backend import load_backend
    from headrace.stages import evaluation, validation

    load_backend()
    with (
        disk_errors(str(plan.settings.home)),
        _as_trained(version, training, plan) as (spec, folder),
    ):
        data = plan.spec, snapshot, plan.home.store, plan.settings
        key, check = plan.validate(snapshot), partial(validation.validate, *data)
        contract = plan.find_or_make(key, ContractRecord, check)
        comparator = plan.comparator(training)
        inputs = spec, snapshot, contract, training, comparator, plan.home
        key = plan.evaluate(contract, training, comparator)
        evaluate = partial(evaluation.evaluate, *inputs, folder=folder)
        records = snapshot, training, plan.find_or_make(key, EvaluationRecord, evaluate)
        made = register(spec, plan.folder, *records, plan.home, plan.law)
    number = made.evidence_id
    evidence = plan.home.ledger.evidence(version.model, number)
    if evidence is None:
        raise _refusal(version, f"Version {version.version}: {made.reason}.")
    return evidence


@contextlib.contextmanager
def _as_trained(
    version: Version, training: TrainingRecord, plan: Plan
) -> Iterator[tuple[PipelineSpec, Path]]:
    """The spec with the model and the training of a version's run, and its own code.

    Raises:
        PromotionError: the run has no record of them.
        IntegrityError: the record is damaged.
    """
    tracking = plan.home.tracking
    digest = tracking.find_run(training.run_id).tags.get(ingredients.TAG, "")
    if not digest:
        raise _refusal(
            version,
            f"MLflow's run {training.run_id} of version {version.version} has no tag "
            f"{ingredients.TAG}, so that its recipe is not known.",
        )
    read = partial(tracking.run_file, training.run_id)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        own = ingredients.restore(Path(place), digest, read)
        recipe = {"model": own.spec.model, "training": own.spec.training}
        yield plan.spec.model_copy(update=recipe), own.folder


def _check_law(version: Version, plan: Plan) -> None:
    """Raise PromotionError for an experiment, or if another law chose its rows."""
    own = plan.home.ledger.evidence_of(version.model, version.version)
    if own and all(row.experiment for row in own):
        raise _refusal(
            version,
            f"Version {version.version} of {version.model} is of an experiment, which "
            f"overrides {', '.join(own[-1].overrides)}.",
        )
    laws = [row.law["committed"] for row in own if row.law and not row.experiment]
    before, now = (
        {"data": {k: v for k, v in law["data"].items() if k not in LIMITS}}
        for law in ([plan.law.committed, *laws][-1], plan.law.committed)
    )
    if differ := changes(before, now):
        raise _refusal(
            version,
            f"The rows of version {version.version} of {version.model} were chosen by "
            f"another law than {plan.folder} has now: {'; '.join(map(str, differ))}.",
        )


def _refusal(version: Version, message: str) -> PromotionError:
    return PromotionError(
        message,
        f"Run `headrace run {version.model}` as it was trained, or overrule with "
        f"{forcing(version.model, version.version)}.",
    )
