"""A home with one training, and what may be done to its record."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.snapshots.splits import quarantine_name
from headrace.evidence.reproduction import reproduce
from headrace.pipeline import PipelineSpec, load_spec
from headrace.records import ContractRecord, SnapshotRecord, TrainingRecord
from headrace.settings import Settings
from headrace.stages import training
from headrace.stages.ingestion import ingest
from headrace.state.store import Store
from headrace.state.tracking import Tracking

SPEC = """
medium = "image"
data.source = "blobs.npz"
model = { builder = "model:build", arguments.rate = 0.2 }
training = { epochs = 2, batch_size = 16, learning_rate = 0.05, seed = 3 }
"""
MODEL = '''"""A network with dropout, as wide as another file of the folder says."""

import os
import runpy
from pathlib import Path

SIZES = runpy.run_path(str(Path(__file__).parent / "sizes.py"))


def build(data, rate):
    import keras

    hidden = int(os.environ.get("HIDDEN_IN_TEST", SIZES["HIDDEN"]))
    layers = keras.layers
    raw = keras.Input(data.shape)
    flat = layers.Flatten()(layers.Rescaling(1 / 255)(raw))
    given = keras.Input(flat.shape[1:])
    x = layers.Dense(hidden, activation="relu")(given)
    x = layers.Dropout(rate)(x)
    out = layers.Dense(len(data.classes), activation="softmax")(x)
    return keras.Model(raw, flat), keras.Model(given, out)
'''


@dataclass(frozen=True)
class Recorded:
    """A home with one training, its builder in the pipeline's folder."""

    settings: Settings
    folder: Path
    spec: PipelineSpec
    snapshot: SnapshotRecord
    contract: ContractRecord
    run: TrainingRecord

    def artifact(self, path):
        artifacts = self.settings.home / "mlartifacts" / "own" / self.run.run_id
        return artifacts / "artifacts" / path

    def tag(self, **values):
        tags = {f"headrace.{name}": value for name, value in values.items()}
        Tracking(self.settings).log_tags(self.run.run_id, tags)

    def rewrite(self, change):
        """Let the record say something else, and its tag vouch for that."""
        file = self.artifact("pipeline/ingredients.json")
        record = json.loads(file.read_bytes())
        change(record)
        file.write_text(json.dumps(record))
        self.tag(ingredients=hashlib.sha256(file.read_bytes()).hexdigest())

    def again(self):
        return reproduce(self.run.run_id, self.settings)


def _set_aside(snapshot, store):
    """A quarantine of one row of train."""
    items = pq.read_table(f"{snapshot.uri}/items")
    splits = items["split"].to_pylist()
    table = pa.table({"row": [splits.index("train")], "split": ["train"]})
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    data = buffer.getvalue().to_pybytes()
    return store.write(f"quarantine/one-row{quarantine_name(data)}", data)


@pytest.fixture(scope="session")
def _recorded(tmp_path_factory, mlflow_database, write_data):
    project = tmp_path_factory.mktemp("own")
    folder = project / "pipelines" / "own"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(SPEC)
    (folder / "model.py").write_text(MODEL)
    (folder / "sizes.py").write_text("HIDDEN = 12\n")
    source = write_data(folder / "blobs.npz")
    settings = Settings(project=project, home=project / "home", user="ada@lab")
    settings.prepare_home()
    shutil.copy(mlflow_database, settings.home / "mlflow.db")
    spec = load_spec(folder, (f"data.source={str(source)!r}",))
    store = Store(settings.store)
    snapshot = ingest(spec.data, "image", store, settings)
    contract = ContractRecord(
        snapshot_digest=snapshot.digest,
        rows=snapshot.rows,
        quarantined=1,
        quarantine_uri=_set_aside(snapshot, store),
        docs_uri="",
        results=(),
    )
    run = training.train(spec, folder, "model:build", snapshot, contract, settings, {})
    return Recorded(settings, folder, spec, snapshot, contract, run)


@pytest.fixture
def recorded(_recorded, copy_of, tmp_path):
    """A copy of the home, to do with as a test likes."""
    home = copy_of(_recorded.settings.home, tmp_path / "home")
    project = _recorded.settings.project
    settings = Settings(project=project, home=home, user="ada@lab")
    _ = Tracking(settings).client  # the first use of a copied home rewrites its places
    return replace(_recorded, settings=settings)
