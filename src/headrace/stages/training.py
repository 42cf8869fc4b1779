"""The training stage: one model, in one MLflow run that says all about it."""

from __future__ import annotations

import functools
import hashlib
import logging
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display import pictures
from headrace.display.progress import Progress
from headrace.errors import SpecError
from headrace.imports.backend import load_backend
from headrace.media import medium
from headrace.models.logged.golden import golden_bytes
from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import FILE_NAME, fields_of, fields_of_file
from headrace.pipeline.law import name_by_changes, title_of
from headrace.pipeline.readme import read_readme, summary
from headrace.records import (
    BackboneRecord,
    ContractRecord,
    DataDescription,
    Finding,
    Metrics,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.stages.fitting import Fit, FittedModel, cluster
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData, open_data
from headrace.stages.fitting.privacy.loop import EPSILON
from headrace.stages.ingredients import Packed
from headrace.stages.processes import OtherProcess
from headrace.state import backbones
from headrace.state.home import Home
from headrace.state.packing import pack_folder
from headrace.state.tracking import GOLDEN_FILE, Tracking
from headrace.state.tracking.runs import PIPELINE_TAG, TITLE_TAG
from headrace.tasks import task
from headrace.tasks.forms import parts_of

GOLDEN_ROWS = 16

log = logging.getLogger("headrace")


def train(  # noqa: PLR0913
    spec: PipelineSpec,
    folder: Path,
    builder: str,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    settings: Settings,
    tags: Mapping[str, str],
    checkpoints: Checkpoints | None = None,
    beside: OtherProcess | None = None,
) -> TrainingRecord:
    """Fit the spec's model and log it.

    Args:
        spec: the pipeline.
        folder: where it may keep a builder of its own.
        builder: the name of the builder.
        snapshot: the data.
        contract: its verdict; quarantined rows are left out.
        settings: where MLflow is.
        tags: for the MLflow run, such as a link to the run of the flow.
        checkpoints: where there are some, the fit goes on from the newest.
        beside: draws; by default, this process does.

    Raises:
        SpecError: the builder does not fit the data, or there are too few devices.
        Refusal: training diverged, or a device is out of memory.
        IntegrityError: the snapshot is damaged.
        DependencyError: MLflow, the disk or another machine failed.
    """
    load_backend()
    beside = beside or OtherProcess()
    beside.begin(pictures.load)
    strategy = _lead(spec, folder, builder, snapshot, contract, settings)
    home = Home(settings)
    tracking, data = home.tracking, open_data(snapshot, contract, home)
    backbone = _backbone(spec, home)
    packed = Packed(spec, folder, builder, snapshot, contract)
    fit = Fit(spec, folder, builder, data, checkpoints, strategy, secret_of(settings))
    source = _source(spec, folder)
    score = task(snapshot.description.task).training_score
    params = {**fields_of(spec), "snapshot": snapshot.digest[:12], **_private(fit)}
    tracking.experiment(spec.name, summary(read_readme(spec, folder)))
    title = _titled(spec, folder, builder, params, tracking)
    tags = {**tags, **source, PIPELINE_TAG: spec.name, TITLE_TAG: title}
    with tracking.run(spec.name, title, tags) as (run_id, experiment_id):
        tracking.log_params(run_id, params)
        tracking.log_snapshot(run_id, spec.name, snapshot)
        if checkpoints is not None:
            checkpoints.run_id = run_id

        def log_epoch(number: int, metrics: Metrics) -> None:
            tracking.log_metrics(run_id, metrics, number)
            before = checkpoints.resumed if checkpoints is not None else None
            if before is None or number > before.epoch:
                progress.update(number, epoch_line(metrics, score))

        with Progress("epoch", spec.training.epochs, is_listed=True) as progress:
            fitted = fit.run(log_epoch)
        tracking.log_metrics(run_id, fitted.of_the_fit, fitted.best_epoch)
        with tempfile.TemporaryDirectory(
            prefix="headrace-",
            ignore_cleanup_errors=True,  # it may be drawn into
        ) as folder_name:
            place = Path(folder_name)
            drawn = beside.begin(_curves(fitted, score, place))
            logged = tracking.log_model(
                fitted.model, snapshot.description, builder, source, fitted.best_epoch
            )
            golden = golden_of(fitted, data)
            facts = fitted.facts
            of_result = {
                "headrace.weights_digest": fitted.weights_digest,
                "headrace.snapshot": snapshot.digest,
                **_backbone_tags(backbone),
                "devices": fitted.execution.devices,
                **packed.write(place, facts),
            }
            (place / GOLDEN_FILE).parent.mkdir()
            (place / GOLDEN_FILE).write_bytes(golden)
            drawn()
            tracking.log_files(run_id, place)
        if checkpoints is not None and checkpoints.resumed is not None:
            of_result["headrace.resumed_from"] = checkpoints.resumed.run_id
        tracking.log_tags(run_id, of_result)
    return TrainingRecord(
        run_id=run_id,
        experiment_id=experiment_id,
        **logged,
        weights_digest=fitted.weights_digest,
        golden_digest=hashlib.sha256(golden).hexdigest(),
        description=snapshot.description,
        snapshot_digest=snapshot.digest,
        metrics=fitted.metrics,
        execution=facts,
        findings=_privacy_findings(fitted),
        privacy=fitted.privacy,
        backbone=backbone,
    )


def _titled(
    spec: PipelineSpec,
    folder: Path,
    builder: str,
    params: Mapping[str, str],
    tracking: Tracking,
) -> str:
    """The pipeline, what differs from its file, and what was edited in the file.

    Where the file names two models to choose from, it has the builder.
    """
    title = title_of(spec, folder)
    is_candidate = "model.against" in fields_of_file(spec, folder)
    if is_candidate and not spec.model.against:
        title = f"{spec.name} {builder}"
    before = tracking.params_of_last(spec.name, title) or params
    return name_by_changes(title, before, params)


def _backbone(spec: PipelineSpec, home: Home) -> BackboneRecord | None:
    """The backbone that a training begins with, if it is pretrained.

    Raises:
        NotFoundError: the store does not have it.
        SpecError: it has a name and no digest.
    """
    if not spec.model.backbone:
        if spec.model.builder == "pretrained":
            raise SpecError(
                f"{spec.name} names a backbone, and model.backbone is empty.",
                "Use `headrace run` or `headrace deploy`, which fill it in.",
            )
        return None
    known = backbones.known(spec.model.backbone, home)
    fields = known.model_dump(include=set(BackboneRecord.model_fields))
    return BackboneRecord(name=str(spec.model.arguments.get("preset", "")), **fields)


def _backbone_tags(backbone: BackboneRecord | None) -> dict[str, str]:
    if backbone is None:
        return {}
    facts = backbone.model_dump(include={"name", "source", "licence"})
    tags = {f"headrace.backbone_{name}": value for name, value in facts.items()}
    return {"headrace.backbone": backbone.digest, **tags}


def _lead(
    spec: PipelineSpec,
    folder: Path,
    builder: str,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    settings: Settings,
) -> Any:
    """The strategy of several machines, where there are several; else None."""
    if not cluster.has_peers():
        return None
    job = cluster.Job(
        spec=spec,
        builder=builder,
        folder=pack_folder(folder, Home(settings).store),
        snapshot=snapshot,
        contract=contract,
    )
    return cluster.lead(job)


def _private(fit: Fit) -> dict[str, str]:
    """What the recipe of a private training leaves open, as parameters of the run."""
    if fit.privacy is None:
        return {}
    log.info("train: %s", fit.privacy)
    return fit.privacy.params


def _privacy_findings(fitted: FittedModel) -> tuple[Finding, ...]:
    """Why the guarantee may be worth less than its epsilon says."""
    if fitted.privacy is None:
        return ()
    messages = []
    if not fitted.privacy.is_secret:
        messages.append(
            "samples and noise follow from training.seed, so that epsilon holds only "
            "for those who do not know the recipe; set HEADRACE_PRIVACY_SEED to a "
            "secret"
        )
    if fitted.privacy.allows_a_row:
        messages.append(
            f"training.privacy.delta is {fitted.privacy.delta:.2g}, and train has "
            f"{fitted.privacy.rows:,} rows: who publishes one of them whole keeps such "
            "a promise; leave delta out, or set it well below 1 / rows"
        )
    for message in messages:
        log.warning("train: %s", message)
    return tuple(Finding(check="privacy", message=message) for message in messages)


def secret_of(settings: Settings) -> str:
    """The secret of private trainings; empty where none is set."""
    return settings.privacy_seed.get_secret_value()


def golden_of(fitted: FittedModel, data: TrainingData) -> bytes:
    """The golden file of a model: its answers to the first questions of train.

    It goes with the model, so that a private one answers random questions, which reveal
    no row.
    """
    private = fitted.privacy is not None
    items = _random_items(data.description) if private else _first_items(data)
    return golden_bytes(fitted.model, items, data.description)


def _first_items(data: TrainingData) -> npt.NDArray[Any]:
    """The first questions of train in stored form, ``(n, ...)``."""
    questions: npt.NDArray[Any] = next(parts_of(data.train)).questions[:GOLDEN_ROWS]
    return questions


def _random_items(data: DataDescription) -> npt.NDArray[Any]:
    """Random values of an item's type, or texts of random letters."""
    form = medium(data.medium)
    limits = np.iinfo(form.DTYPE)
    low, high = (ord("a"), ord("z")) if form.IS_TEXT else (limits.min, limits.max)
    shape = (GOLDEN_ROWS, *data.shape)
    items: npt.NDArray[Any] = np.random.default_rng(0).integers(
        low, high, shape, form.DTYPE, endpoint=True
    )
    return items


def epoch_line(metrics: Metrics, score: str) -> str:
    """The metrics of an epoch in one line."""
    name = score.replace("_", " ")
    return (
        f"loss {metrics['train_loss']:.4f}  "
        f"{name} {metrics[f'train_{score}']:.4f}  "
        f"val {name} {metrics.get(f'val_{score}', float('nan')):.4f}  "
        f"{metrics['epoch_seconds']:.1f} s{_spent(metrics)}"
    )


def _spent(metrics: Metrics) -> str:
    return f"  epsilon {metrics[EPSILON]:.3g}" if EPSILON in metrics else ""


def _curves(fitted: FittedModel, score: str, place: Path) -> Callable[[], None]:
    """Draws the curves into a folder of the run's files."""
    path = place / "pictures" / "curves.png"
    path.parent.mkdir()
    epochs, best = fitted.epochs, fitted.best_epoch
    return functools.partial(pictures.draw_curves, epochs, score, best, path)


def _source(spec: PipelineSpec, folder: Path) -> dict[str, str]:
    """The pipeline's file and, in a repository, its place there and the commit."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD", "--show-prefix"]
    name = f"{spec.name}/{FILE_NAME}"
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": name}
    try:
        quiet: Any = {"stderr": subprocess.DEVNULL, "timeout": 10}
        answer = subprocess.check_output(command, text=True, **quiet)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return tags
    commit, prefix = answer.splitlines()[:2]
    if Path(prefix).name == spec.name:
        tags["mlflow.source.name"] = f"{prefix}{FILE_NAME}"
    return {**tags, "mlflow.source.git.commit": commit}
