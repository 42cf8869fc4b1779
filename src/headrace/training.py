"""The training stage: one model, in one MLflow run that says all about it."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from headrace import models, pictures
from headrace.backend import load_backend
from headrace.fitting import Examples, fit, plan_execution, weights_digest
from headrace.records import ContractRecord, Metrics, SnapshotRecord, TrainingRecord
from headrace.serving import GOLDEN_FILE, golden_bytes
from headrace.settings import Settings
from headrace.snapshots import read_split
from headrace.spec import PipelineSpec
from headrace.tracking import Tracking

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

    Raises:
        SpecError: the builder does not fit the data.
        Refusal: training diverged.
        DependencyError: MLflow or the disk failed.
    """
    load_backend()
    import keras

    tracking = Tracking(settings)
    train_split, val_split = (
        Examples(*read_split(snapshot, split, contract.quarantine_uri)[:2])
        for split in ("train", "val")
    )
    keras.utils.clear_session()  # names of layers start anew: a digest has them
    keras.utils.set_random_seed(spec.training.seed)
    preprocessing, network = models.build(
        builder, snapshot.description, spec.model.arguments, folder
    )
    model = models.compose(snapshot.description, preprocessing, network)
    execution = plan_execution(spec.training, len(train_split.items))
    epochs: list[Metrics] = []
    tags = {**tags, **_git_tags(folder), "headrace.pipeline": spec.name}
    name = f"{builder}-{snapshot.digest[:8]}-seed{spec.training.seed}"
    with tracking.run(spec.name, name, tags) as (run_id, experiment_id):
        tracking.log_params(run_id, spec.model_dump(mode="json", exclude_none=True))
        tracking.log_snapshot(run_id, snapshot)

        def log_epoch(number: int, metrics: Metrics) -> None:
            epochs.append(metrics)
            tracking.log_metrics(run_id, metrics, number)
            log.info(_progress(number, spec.training.epochs, metrics))

        best = fit(
            model,
            network,
            preprocessing,
            train_split,
            val_split,
            spec.training,
            execution,
            log_epoch,
        )
        tracking.log_metrics(run_id, {"best_epoch": best}, best)
        model_uri, model_digest, model_bytes = tracking.log_model(
            model, snapshot.description
        )
        golden = golden_bytes(model, train_split.items[:GOLDEN_ROWS])
        digest = weights_digest(model)
        facts = dataclasses.asdict(execution)
        tracking.log_tags(
            run_id,
            {
                "headrace.weights_digest": digest,
                "headrace.snapshot": snapshot.digest,
                **{f"headrace.execution.{k}": str(v) for k, v in facts.items()},
            },
        )
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            _write_files(Path(place), spec, folder, snapshot, contract, golden, epochs)
            tracking.log_files(run_id, Path(place))
    return TrainingRecord(
        run_id=run_id,
        experiment_id=experiment_id,
        model_uri=model_uri,
        model_digest=model_digest,
        model_bytes=model_bytes,
        weights_digest=digest,
        golden_digest=hashlib.sha256(golden).hexdigest(),
        description=snapshot.description,
        snapshot_digest=snapshot.digest,
        metrics={**epochs[best - 1], "best_epoch": best},
        execution=facts,
    )


def _progress(number: int, epochs: int, metrics: Metrics) -> str:
    return (
        f"epoch {number}/{epochs}  loss {metrics['train_loss']:.4f}  "
        f"accuracy {metrics['train_accuracy']:.4f}  "
        f"val accuracy {metrics.get('val_accuracy', float('nan')):.4f}  "
        f"{metrics['epoch_seconds']:.1f} s"
    )


def _write_files(  # noqa: PLR0913
    place: Path,
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    golden: bytes,
    epochs: list[Metrics],
) -> None:
    """The run's artifacts, by folder."""
    for name in ("golden", "pipeline", "data", "pictures"):
        (place / name).mkdir()
    (place / GOLDEN_FILE).write_bytes(golden)
    (place / "pipeline" / "spec.json").write_text(spec.model_dump_json(indent=1))
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix in (".toml", ".py", ".md"):
            (place / "pipeline" / file.name).write_bytes(file.read_bytes())
    (place / "data" / "snapshot.json").write_text(snapshot.model_dump_json(indent=1))
    (place / "data" / "contract.json").write_text(contract.model_dump_json(indent=1))
    pictures.draw_curves(epochs, place / "pictures" / "curves.png")


def _git_tags(folder: Path) -> dict[str, str]:
    """The commit of the pipeline's repository, if it is in one."""
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": done.stdout.strip()}
