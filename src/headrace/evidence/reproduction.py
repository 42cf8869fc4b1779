"""Trains again from a run's record alone, and compares the weights.

The pipeline's present folder is not read, and only a temporary folder is written:
MLflow, the store and the ledger stay as they were.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from headrace.data.snapshots.reading import check_snapshot
from headrace.display.progress import Progress
from headrace.errors import IntegrityError, SpecError, UsageError
from headrace.records import FROM_RECIPE, MANIFEST, Metrics, Record
from headrace.settings import Settings
from headrace.stages import ingredients
from headrace.stages.fitting import Fit, FittedModel
from headrace.stages.fitting.data import open_data
from headrace.stages.ingredients import IngredientDifference, Packed, Restored
from headrace.stages.training import epoch_line
from headrace.state.disk import disk_errors
from headrace.state.folders import in_store
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
    digests = WeightsDigests(
        recorded=run.tags["headrace.weights_digest"], reproduced=fitted.weights_digest
    )
    same = digests.recorded == digests.reproduced
    return Reproduction(
        run_id=run.run_id,
        pipeline=run.tags["headrace.pipeline"],
        status="same" if same else "different",
        reason=_reason(same, differences),
        weights_digest=digests,
        differences=differences,
        metrics=fitted.metrics,
        seconds=round(time.perf_counter() - started, 3),
    )


def restored(run_id: str, home: Home, place: Path) -> tuple[MlflowRun, Restored]:
    """The record of a training in an empty folder, with the places of its data now.

    Raises:
        NotFoundError, UsageError, IntegrityError, DependencyError: as `reproduce`.
    """
    run, problem = home.tracking.find_run(run_id), ""
    if "headrace.pipeline" not in run.tags:
        problem = "is not a training of Headrace"
    elif run.status != "FINISHED":
        problem = f"did not finish (it is {run.status}), so it has no weights"
    elif ingredients.TAG not in run.tags:
        problem = "has no record of its ingredients: it is a trial"
    if problem:
        raise UsageError(
            f"The run {run.run_id} {problem}.",
            "Name a finished training; `headrace compare MODEL --json` has those of a "
            "model.",
        )
    return run, _in_store(recorded(run, home, place), home)


def recorded(run: MlflowRun, home: Home, place: Path) -> Restored:
    """The record of a training in an empty folder, each file checked.

    Raises:
        IntegrityError, UsageError, DependencyError: as `reproduce`.
    """
    read = partial(home.tracking.run_file, run.run_id)
    return ingredients.restore(place, run.tags.get(ingredients.TAG, ""), read)


def _in_store(then: Restored, home: Home) -> Restored:
    """The record with the places of its data in this store, found by their digests."""
    store, snapshot = home.store, in_store(then.snapshot, home.store)
    key = f"snapshots/{snapshot.digest}"
    try:
        sha256 = store.digest(f"{key}/{MANIFEST}")
        if sha256 != snapshot.manifest_sha256:  # made again, perhaps by other libraries
            snapshot = snapshot.model_copy(update={"manifest_sha256": sha256})
            check_snapshot(snapshot)
    except (FileNotFoundError, IntegrityError) as error:
        if key in home.ledger.facts.deleted():
            raise UsageError(
                "The data of the run was deleted by `headrace gc` or `headrace "
                "forget`: its weights cannot be made again.",
                f"Train anew: headrace run {then.spec.name}",
            ) from error
        raise IntegrityError(
            f"The data is gone: {store.uri(key)} is no whole snapshot.",
            "Restore it from a backup; or delete what is left of it and ingest the "
            f"same data again: headrace check {then.spec.name} --data "
            f"{snapshot.source}",
        ) from error
    contract = in_store(then.contract, store)
    return dataclasses.replace(then, snapshot=snapshot, contract=contract)


def _train(
    restored: Restored, settings: Settings
) -> tuple[FittedModel, tuple[IngredientDifference, ...]]:
    """Train again; the model, and the ingredients that have changed."""
    spec, folder, then = restored.spec, restored.folder, restored.ingredients
    secret = _secret_of(then.execution, settings)
    place = restored.snapshot, restored.contract
    packed = Packed(spec, folder, then.builder, *place)
    data = open_data(*place, Home(settings))
    score, facts = task(data.description.task).training_score, then.execution
    try:
        with Progress("epoch", spec.training.epochs, is_listed=True) as progress:
            fit = Fit(spec, folder, then.builder, data, secret=secret, recorded=facts)
            fitted = fit.run(lambda n, m: progress.update(n, epoch_line(m, score)))
    except SpecError as error:
        differ = _names(ingredients.differences(then, packed.ingredients(facts)))
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
    if same and not names:
        return "the weights are the same"
    if same:
        return f"the weights are the same; what differs did not matter: {names}"
    if names:
        return f"the weights differ; what else differs: {names}"
    return (
        "the weights differ, and no recorded ingredient does; what is left is a file "
        "that the builder reads, or a device that adds in no fixed order"
    )


def _names(differences: tuple[IngredientDifference, ...]) -> str:
    more = f" and {len(differences) - NAMED} more" if differences[NAMED:] else ""
    return ", ".join(f"{d.kind} {d.name}" for d in differences[:NAMED]) + more
