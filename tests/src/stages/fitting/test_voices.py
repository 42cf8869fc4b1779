"""A network that is fitted to examples of its own, here voices: a fit resumes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.src.tasks.synthesis.conftest import data, takes

from headrace.data.snapshots.splits import ShardRows
from headrace.pipeline import PipelineSpec, TrainingSpec
from headrace.stages.fitting import Fit
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData
from headrace.state.store import Store
from headrace.tasks import questions_of, task

pytestmark = pytest.mark.system

__all__ = ["data"]


def rows(count, first, data):
    """``count`` takes of each text and speaker, as rows of a snapshot."""
    sounds, keys = takes(count, first)
    items = (sounds * 32767).astype(np.int16)
    labels = pa.chunked_array([[data.texts[text] for text, _ in keys]])
    groups = [data.speakers[speaker] for _, speaker in keys]
    targets = task("synthesis").labels.targets(items, labels, groups, data)
    questions = questions_of(items, labels, groups, data)
    return ShardRows(items, targets, [""] * len(items), groups, questions)


class OneShard:
    """All rows in one shard."""

    def __init__(self, rows):
        self.rows, self.counts = rows, np.array([len(rows.items)])

    def read(self, shard):
        return self.rows


@pytest.fixture(scope="module")
def voices(data):
    return TrainingData(data, OneShard(rows(5, 0, data)), rows(1, 50, data))


def fit(voices, checkpoints=None, **changes):
    recipe = {"epochs": 3, "batch_size": 5, "seed": 3, **changes}
    spec = PipelineSpec.model_validate(
        {
            "name": "voices",
            "medium": "audio",
            "task": "synthesis",
            "data": {"source": "x", "sample_rate_hz": 8000},
            "model": {"arguments": {"width": 8, "dilations": [1]}},
            "training": recipe,
        }
    )
    return Fit(spec, Path(), "speech_vae", voices, checkpoints)


def test_an_interrupted_fit_ends_with_the_same_weights(voices, tmp_path):
    whole = fit(voices).run(lambda *_: None)
    assert whole.epochs[-1]["train_loss"] < whole.epochs[0]["train_loss"]
    assert {"train_distance_db", "val_distance_db"} <= whole.epochs[0].keys()

    class Interrupt(Exception):
        pass

    def stop(epoch, metrics):
        if epoch == 2:
            raise Interrupt

    def checkpoints():
        spec = TrainingSpec(checkpoint_steps=3)
        return Checkpoints(Store(str(tmp_path)), "fit", spec)

    every = {"checkpoint_steps": 3}
    with pytest.raises(Interrupt):
        fit(voices, checkpoints(), **every).run(stop)
    resumed = checkpoints()
    rest = fit(voices, resumed, **every).run(lambda *_: None)
    assert resumed.resumed is not None
    assert rest.weights_digest == whole.weights_digest
