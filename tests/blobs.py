"""The pipeline ``blobs``: its data, laws of its own, and a home with two trainings."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from headrace.pipeline import PipelineSpec, load_spec
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    Record,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.state.home import Home

BLOBS = """
description = "Three classes of 8 x 8 images: a bright band above, in the middle, below"
medium = "image"
data.source = "blobs.npz"
model.arguments.hidden = [16]
training = { epochs = 3, batch_size = 16, learning_rate = 0.05, seed = 1 }
evaluation = { depth = "quick" }
gates = [
    { name = "accuracy", threshold = 0.9 },
    { name = "finite" },
    { name = "latency", threshold = 5000 },
    { name = "champion" },
]
"""


WEAK = ("training.learning_rate=1e-5", "training.epochs=1")


def blobs(rows, seed=0):
    """Images ``(rows, 8, 8)`` and labels 0, 1, 2 in turn, easy to tell apart."""
    labels = np.arange(rows) % 3
    images = np.random.default_rng(seed).integers(0, 90, (rows, 8, 8), np.uint8)
    for row, label in enumerate(labels):
        images[row, 3 * label : 3 * label + 2] += 120
    return images, labels


def png(image):
    """An image as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def write_blobs(path, train=180, test=60, seed=0):
    """Blobs in the layout of Keras's ``mnist.npz``."""
    images, labels = blobs(train + test, seed)
    np.savez(
        path,
        x_train=images[:train],
        y_train=labels[:train],
        x_test=images[train:],
        y_test=labels[train:],
    )
    return path


def copy_home(source, target):
    """A copy of a home, as `cp` makes it; what servers had in it stays behind."""
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns("prefect", "*.log", "up.json")
    )
    return target


def spec_of(project, *overrides, folder=None):
    """The spec of ``blobs``, its source made absolute; by the law of another folder."""
    own = project / "pipelines" / "blobs"
    return load_spec(
        folder or own, (f"data.source={str(own / 'blobs.npz')!r}", *overrides)
    )


def write_law(project, folder, **tables):
    """A folder with the file of ``blobs``, some of its tables replaced by others.

    Args:
        project: that has ``blobs``.
        folder: is made; its data stays in the project.
        tables: TOML values by the name of the table: ``gates="[]"``.
    """
    text = BLOBS + 'name = "blobs"\n'
    if "gates" in tables:
        text = re.sub(r"(?ms)^gates = \[.*?^\]\n", "", text)
    if "evaluation" in tables:
        text = re.sub(r"(?m)^evaluation = .*\n", "", text)
    own = project / "pipelines" / "blobs"
    source = str(own / load_spec(own).data.source)
    text = text.replace('"blobs.npz"', repr(source))
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name} = {value}\n" for name, value in tables.items()]
    (folder / "pipeline.toml").write_text(text + "".join(lines))
    return folder


@dataclass(frozen=True)
class Trained:
    """A home with two trainings of ``blobs``: version 1, weak, is the champion; the
    second is good, evaluated against it, and not yet registered."""

    settings: Settings
    spec: PipelineSpec
    folder: Path
    snapshot: SnapshotRecord
    contract: ContractRecord
    weak: TrainingRecord
    weak_evaluation: EvaluationRecord
    good: TrainingRecord
    good_evaluation: EvaluationRecord

    @property
    def home(self):
        """It, opened anew."""
        return Home(self.settings)

    def with_law(self, **tables):
        """The same under a pipeline file with other tables; see `write_law`."""
        place = self.settings.home.parent / "laws" / str(hash(tuple(tables.items())))
        folder = write_law(self.settings.project, place / "pipelines/blobs", **tables)
        spec = spec_of(self.settings.project, folder=folder)
        settings = self.settings.model_copy(update={"project": place})
        return replace(self, settings=settings, spec=spec, folder=folder)

    def moved(self, home):
        """The same in a copy of the home."""
        from mlflow.tracking._tracking_service import utils

        old = str(self.settings.home)
        copy_home(self.settings.home, home)
        # MLflow would go on to write files of a run where the former home is.
        utils._artifact_repos_cache.clear()

        def move(record):
            text = record.model_dump_json().replace(old, str(home))
            return type(record).model_validate_json(text)

        values = {
            name: move(value) if isinstance(value, Record) else value
            for name, value in vars(self).items()
        }
        values["settings"] = Settings(
            project=self.settings.project, home=home, user="ada@lab"
        )
        return Trained(**values)


def a_contract(snapshot):
    """A verdict that finds no fault."""
    return ContractRecord(
        snapshot_digest=snapshot.digest,
        rows=snapshot.rows,
        quarantined=0,
        quarantine_uri="",
        docs_uri="",
        results=(),
    )
