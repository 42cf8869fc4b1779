"""Trains again from a run's record alone, and compares the weights.

The pipeline's present folder is not read, and only a temporary folder is written:
MLflow, the store and the ledger stay as they were.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from headrace.data.snapshots.checking import check_snapshot
from headrace.errors import IntegrityError, SpecError, UsageError
from headrace.planning.results import in_store
from headrace.progress import Progress
from headrace.records import FROM_RECIPE, MANIFEST, Metrics, Record
from headrace.settings import Settings
from headrace.stages import ingredients
from headrace.stages.fitting import Fit, FittedModel
from headrace.stages.fitting.data import open_data
from headrace.stages.ingredients import IngredientDifference, Packed, Restored
from headrace.stages.training import epoch_line
from headrace.state.disk import disk_errors
from headrace.state.home import Home
from headrace.state.tracking.runs import MlflowRun
from headrace.tasks import task

NAMED = 5

log = logging.getLogger("headrace")


class WeightsDigests(Record):
    """The sha256 of the weights, then and now."""

    recorded: str
    reproduced: str


class Reproduction(Record):
    """The result of a repetition.

    Attributes:
        differences: the ingredients that have changed, whether or not that mattered.
        metrics: of the epoch whose weights were kept.
        seconds: the duration.
    """

    run_id: str
    pipeline: str
    status: Literal["same", "different"]
    reason: str
    weights_digest: WeightsDigests
    differences: tuple[IngredientDifference, ...]
    metrics: Metrics
    seconds: float


def reproduce(name: str, settings: Settings) -> Reproduction:
    """Train a run again from its record.

    Args:
        name: an MLflow run's id or how it begins, ``MODEL@champion`` or
            ``MODEL/VERSION``.
        settings: where MLflow, the store and the ledger are.

    Raises:
        NotFoundError: there is no such run.
        UsageError: it is no finished training, its record is of another version of
            Headrace, or its builder cannot be imported here.
        IntegrityError: the record or the data is gone, changed or damaged.
        DependencyError: MLflow or a disk failed.
    """
    started = time.perf_counter()
    home = Home.existing(settings, f"run {name!r}", place=settings.tracking_uri)
    run_id = home.ledger.find(name).run_id if {"@", "/"} & {*name} else name
    with (
        disk_errors(tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="headrace-") as place,
    ):
        run, recipe = restored(run_id, home, Path(place))
        log.info("reproduce: run %s of %s", run.run_id, run.tags["headrace.pipeline"])
        fitted, differences = _train(recipe, settings)
    recorded, reproduced = run.tags["headrace.weights_digest"], fitted.weights_digest
    same = recorded == reproduced
    return Reproduction(
        run_id=run.run_id,
        pipeline=run.tags["headrace.pipeline"],
        status="same" if same else "different",
        reason=_reason(same, differences),
        weights_digest=WeightsDigests(recorded=recorded, reproduced=reproduced),
        differences=differences,
        metrics=fitted.metrics,
        seconds=round(time.perf_counter() - started, 3),
    )


def restored(run_id: str, home: Home, place: Path) -> tuple[MlflowRun, Restored]:
    """The record of a run in an empty folder, with the places of its data now.

    Raises:
        NotFoundError, UsageError, IntegrityError, DependencyError: as `reproduce`.
    """
    run = home.tracking.find_run(run_id)
    _check_run(run)
    read = partial(home.tracking.run_file, run.run_id)
    recorded = ingredients.restore(place, run.tags[ingredients.TAG], read)
    return run, _in_store(recorded, home)


def _check_run(run: MlflowRun) -> None:
    if "headrace.pipeline" not in run.tags:
        raise UsageError(
            f"The run {run.run_id} is not a training of Headrace.",
            "Name one that is; `headrace compare MODEL --json` has those of a model.",
        )
    if run.status != "FINISHED":
        raise UsageError(
            f"The run {run.run_id} did not finish (it is {run.status}), so it has no "
            "weights to compare with.",
            "Name a finished run.",
        )
    if ingredients.TAG not in run.tags:
        raise UsageError(
            f"The run {run.run_id} has no record of its ingredients: it is a trial, or "
            "of a Headrace that kept none.",
            "Train again; the new run can be reproduced.",
        )


def _in_store(recorded: Restored, home: Home) -> Restored:
    """The record with the places of its data in this store, found by their digests."""
    store = home.store
    snapshot = in_store(recorded.snapshot, store)
    key = f"snapshots/{snapshot.digest}"
    try:
        sha256 = hashlib.sha256(store.read(f"{key}/{MANIFEST}")).hexdigest()
        if sha256 != snapshot.manifest_sha256:  # made again, perhaps by other libraries
            snapshot = snapshot.model_copy(update={"manifest_sha256": sha256})
            check_snapshot(snapshot)
    except (FileNotFoundError, IntegrityError) as error:
        if key in home.ledger.disposals.collected():
            raise UsageError(
                "The data of the run was deleted by `headrace gc` or `headrace "
                "forget`: its weights cannot be made again.",
                f"Train anew: headrace run {recorded.spec.name}",
            ) from error
        raise IntegrityError(
            f"The data is gone: {store.uri(key)} is no whole snapshot (when the run "
            f"was trained it was {recorded.snapshot.uri}).",
            "Restore it from a backup; or delete what is left of it and ingest the "
            f"same data again: headrace check {recorded.spec.name} --data "
            f"{snapshot.source}",
        ) from error
    contract = in_store(recorded.contract, store)
    return dataclasses.replace(recorded, snapshot=snapshot, contract=contract)


def _train(
    recorded: Restored, settings: Settings
) -> tuple[FittedModel, tuple[IngredientDifference, ...]]:
    """Train again; the model, and the ingredients that have changed."""
    spec, folder, then = recorded.spec, recorded.folder, recorded.ingredients
    secret = _secret_of(then.execution, settings)
    packed = Packed(spec, folder, then.builder, recorded.snapshot, recorded.contract)
    if packed.quarantine != then.quarantine:
        raise IntegrityError(
            f"The quarantine {recorded.contract.quarantine_uri} is not the one that "
            "was recorded: it was changed or damaged.",
            "Restore it from a backup, or train again.",
        )
    data = open_data(recorded.snapshot, recorded.contract, Home(settings))
    score = task(data.description.task).training_score

    def show(number: int, metrics: Metrics) -> None:
        progress.update(number, epoch_line(metrics, score))

    try:
        with Progress("epoch", spec.training.epochs, is_listed=True) as progress:
            fit = Fit(
                spec, folder, then.builder, data, secret=secret, recorded=then.execution
            )
            fitted = fit.run(show)
    except SpecError as error:
        now = packed.ingredients(then.execution)
        differ = _names(ingredients.differences(then, now))
        raise UsageError(
            f"The run cannot be trained again here: {error.message}",
            f"What differs from then: {differ}." if differ else error.action,
        ) from error
    now = packed.ingredients(fitted.facts)
    return fitted, ingredients.differences(then, now)


def _secret_of(execution: Mapping[str, Any], settings: Settings) -> str:
    """The secret of a private run; empty where it had none, or is not private."""
    recorded = execution.get("privacy_seed")
    if recorded in (None, FROM_RECIPE):
        return ""
    secret = settings.privacy_seed.get_secret_value()
    if settings.privacy_fingerprint == recorded:
        return secret
    raise UsageError(
        "The run is private, and its samples and noise follow from a secret that "
        f"{'is another one' if secret else 'is not known'} here.",
        "Set HEADRACE_PRIVACY_SEED to the secret that it was trained with.",
    )


def _reason(same: bool, differences: tuple[IngredientDifference, ...]) -> str:
    names = _names(differences)
    if same:
        but = f"; what differs did not matter: {names}" if names else ""
        return f"the weights are the same{but}"
    if names:
        return f"the weights differ; what else differs: {names}"
    return (
        "the weights differ, and no recorded ingredient does; what is left is a file "
        "that the builder reads, or a device that adds in no fixed order"
    )


def _names(differences: tuple[IngredientDifference, ...]) -> str:
    more = f" and {len(differences) - NAMED} more" if differences[NAMED:] else ""
    return ", ".join(f"{d.kind} {d.name}" for d in differences[:NAMED]) + more
