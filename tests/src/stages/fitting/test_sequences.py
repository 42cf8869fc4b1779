"""A network that takes any number of steps: batches are cut, and a fit resumes."""

from pathlib import Path

import numpy as np
import pytest
from tests.src.stages.fitting.conftest import InShards

from headrace.pipeline import PipelineSpec, TrainingSpec
from headrace.records import DataDescription
from headrace.stages.fitting import Fit
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.shards import Examples
from headrace.state.store import Store
from headrace.tasks import task

pytestmark = pytest.mark.system

TOKENS = ["low", "high"]
DATA = DataDescription(
    medium="audio",
    task="transcription",
    shape=(6000,),
    sample_rate_hz=8000,
    target={"unit": "words", "tokens": TOKENS, "longest": 2, "scripts": ["latin"]},
)


def examples(rows, seed):
    """One or two tones, int16, and what they are."""
    import pyarrow as pa

    random = np.random.default_rng(seed)
    items = np.zeros((rows, 6000), np.int16)
    texts = []
    for row in items:
        words = random.integers(0, 2, random.integers(1, 3))
        texts.append(" ".join(TOKENS[word] for word in words))
        for place, word in enumerate(words):
            tone = np.sin(2 * np.pi * (400, 1500)[word] * np.arange(1600) / 8000)
            row[400 + 2400 * place :][:1600] = 9000 * tone
    targets = task("transcription").labels.encode(pa.chunked_array([texts]), DATA)
    return Examples(items, targets)


def fit(checkpoints=None, **changes):
    recipe = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "seed": 3}
    spec = PipelineSpec.model_validate(
        {
            "name": "tones",
            "medium": "audio",
            "task": "transcription",
            "data": {"source": "x", "sample_rate_hz": 8000},
            "model": {"arguments": {"filters": 8, "units": 8}},
            "training": {**recipe, "calibrate": False, **changes},
        }
    )
    train = InShards(examples(40, 0), [20, 20])
    data = TrainingData(DATA, train, examples(8, 1))
    return Fit(spec, Path(), "ctc_crnn", data, checkpoints)


def test_batches_are_cut_to_their_longest_row(monkeypatch):
    import keras

    seen = []
    real = keras.layers.Conv1D.call

    def call(self, inputs):
        if inputs.shape[-1] == 40:
            seen.append(inputs.shape[1])
        return real(self, inputs)

    monkeypatch.setattr(keras.layers.Conv1D, "call", call)
    fit()
    assert None in seen  # the compiled step takes any number


def test_the_loss_falls_and_the_weights_are_the_same_again():
    one, other = (fit().run(lambda *_: None) for _ in range(2))
    losses = [epoch["train_loss"] for epoch in one.epochs]
    assert losses[-1] < losses[0]
    assert one.weights_digest == other.weights_digest


def test_an_interrupted_fit_ends_with_the_same_weights(tmp_path):
    whole = fit().run(lambda *_: None)

    class Interrupt(Exception):
        pass

    def stop(epoch, metrics):
        if epoch == 2:
            raise Interrupt

    def checkpoints():
        spec = TrainingSpec(checkpoint_steps=2)
        return Checkpoints(Store(str(tmp_path)), "fit", spec)

    every = {"checkpoint_steps": 2}
    with pytest.raises(Interrupt):
        fit(checkpoints(), **every).run(stop)
    resumed = checkpoints()
    rest = fit(resumed, **every).run(lambda *_: None)
    assert resumed.resumed is not None and resumed.resumed.total_steps == 10
    assert rest.weights_digest == whole.weights_digest
