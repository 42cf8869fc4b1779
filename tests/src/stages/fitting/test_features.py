"""Pre-processing that learns from data, and is computed once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from headrace import models
from headrace.errors import SpecError
from headrace.models import builder_names
from headrace.models.logged.loading import answers
from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription
from headrace.stages.fitting import data as features
from headrace.stages.fitting import shards
from headrace.stages.fitting.data import TrainingData, inputs_of
from headrace.stages.fitting.shards import Examples
from headrace.tasks.learn import Fitting

pytestmark = pytest.mark.system

TEXTS = DataDescription(medium="text", shape=(16,), classes=("a", "b"))


def as_rows(texts):
    rows = np.zeros((len(texts), 16), np.uint8)
    for row, text in zip(rows, texts, strict=True):
        data = text.encode()
        row[: len(data)] = list(data)
    return rows


@dataclass
class Counted:
    """Shards of texts; counts how often each is read."""

    parts: list[list[str]]
    reads: list[int] = field(default_factory=list)

    @property
    def counts(self):
        return np.array([len(part) for part in self.parts], np.int64)

    def read(self, shard):
        self.reads.append(shard)
        part = self.parts[shard]
        return Examples(as_rows(part), np.zeros(len(part), np.int32))


def texts():
    val = Examples(as_rows(["red"]), np.zeros(1, np.int32))
    return TrainingData(TEXTS, Counted([["red blue", "blue"], ["blue green"]]), val)


def fitted_to(data, preprocessing):
    import keras

    prepared = preprocessing.outputs[0]
    taken = keras.Input(prepared.shape[1:], dtype=prepared.dtype)
    network = keras.Model(taken, keras.layers.Flatten()(taken))
    fitting = Fitting(preprocessing, network, data.description, TrainingSpec())
    return inputs_of(data, fitting)


def test_a_vectoriser_learns_the_train_split_and_gives_ids_once():
    import keras

    raw = keras.Input((), dtype="string")
    words = keras.layers.TextVectorization(max_tokens=8, output_sequence_length=3)
    preprocessing = keras.Model(raw, words(raw))
    inputs = fitted_to(texts(), preprocessing)
    vocabulary = words.get_vocabulary()
    assert vocabulary[2] == "blue"
    assert set(vocabulary[3:]) == {"red", "green"}
    assert (inputs.preprocessing, inputs.shape) == (None, (3,))
    first = inputs.train.read(0)
    red = vocabulary.index("red")
    assert first.items.tolist() == [[red, 2, 0], [2, 0, 0]]
    assert inputs.val.items.tolist() == [[red, 0, 0]]
    assert inputs.item_bytes == 3 * inputs.dtype.itemsize


@pytest.mark.parametrize(
    ("prepared", "kept", "reads"),
    [
        pytest.param(1, 2**20, [0, 1], id="kept in memory"),
        pytest.param(1, 6, [0, 1, 1], id="as many as there is room for"),
        pytest.param(2**20, 2**20, [0, 1, 0, 1], id="one window: read once anyway"),
    ],
)
def test_prepared_shards_of_several_windows_are_prepared_once(
    prepared, kept, reads, monkeypatch
):
    import keras

    monkeypatch.setattr(features, "PREPARED_BYTES", prepared)
    monkeypatch.setattr(shards, "KEPT_BYTES", kept)
    raw = keras.Input((), dtype="string")
    words = keras.layers.TextVectorization(
        vocabulary=["red", "blue"], output_sequence_length=3
    )
    split = texts()
    inputs = fitted_to(split, keras.Model(raw, words(raw)))
    split.train.reads.clear()
    for _ in range(2):
        assert inputs.train.read(0).items.tolist() == [[2, 3, 0], [3, 0, 0]]
        assert inputs.train.read(1).items.tolist() == [[3, 1, 0]]
    assert split.train.reads == reads


def test_a_layer_that_was_given_its_vocabulary_keeps_it():
    import keras

    raw = keras.Input((), dtype="string")
    words = keras.layers.TextVectorization(
        vocabulary=["green"], output_sequence_length=2
    )
    inputs = fitted_to(texts(), keras.Model(raw, words(raw)))
    assert words.get_vocabulary()[2:] == ["green"]
    assert inputs.train.read(1).items.tolist() == [[1, 2]]


def test_a_layer_behind_another_learns_what_reaches_it():
    import keras

    raw = keras.Input((), dtype="string")
    words = keras.layers.TextVectorization(
        max_tokens=8, output_mode="multi_hot", pad_to_max_tokens=True
    )
    scaled = keras.layers.Normalization()
    preprocessing = keras.Model(raw, scaled(words(raw)))
    fitted_to(texts(), preprocessing)
    blue = words.get_vocabulary().index("blue")
    assert np.asarray(scaled.mean)[0, blue] == pytest.approx(1)


@pytest.mark.parametrize(
    "family", [n for n in builder_names("text", "vector") if n != "pretrained"]
)
def test_texts_of_several_lines_give_a_model_that_can_be_saved(family, tmp_path):
    import keras

    lines = [
        text
        for end in ("\n", "\r\n", "\u2028", "\x85", "\x0b")
        for text in (f"red{end}blue", f"blue{end}{end}red", end, f"red{end}red blue")
    ]
    data = TrainingData(TEXTS, Counted([lines]), texts().val)
    built = models.build(family, TEXTS, {})
    fitted_to(data, built[0])
    model = models.compose(TEXTS, *built)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    asked = np.array(lines, object)
    np.testing.assert_array_equal(answers(loaded, asked), answers(model, asked))


def test_a_pre_processing_of_no_fixed_shape_is_refused():
    import keras

    raw = keras.Input((), dtype="string")
    words = keras.layers.TextVectorization(max_tokens=8)
    with pytest.raises(SpecError, match="output_sequence_length"):
        fitted_to(texts(), keras.Model(raw, words(raw)))
