"""Crops, the cross entropy against NumPy, and the model that is saved."""

import itertools
import math

import numpy as np
import pytest
from tests.src.tasks.generation.models import DATA, SIZES, a_model, loaded_with_answers

from headrace.errors import SpecError
from headrace.pipeline import TrainingSpec
from headrace.tasks.generation.data import codes_of, padded
from headrace.tasks.generation.following import find_next
from headrace.tasks.generation.learn import CROP, HEAD, crops_of, ids_of

pytestmark = pytest.mark.system

TEXTS = ["hello", "a\nb", "this is a longer text, with a ☃ in it " * 3, "晓"]
CODE_POINTS = 0x110000 - 0x800


def _nats(following, ids, step):
    """The nats of a document, ``step`` characters a call, by NumPy."""
    window = np.concatenate([[0], ids, [0]]).astype(np.int32)
    states = [np.zeros((1, *s.shape[1:]), s.dtype) for s in following.inputs[1:]]
    nats = 0.0
    for start in range(0, len(window) - 1, step):
        part = window[start : min(start + step, len(window) - 1)]
        logits, *states = map(np.asarray, following([part[None], *states]))
        logits = logits[0].astype(np.float64)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        after = window[start + 1 : start + 1 + len(part)]
        nats -= logits[np.arange(len(part)), after].sum()
        nats += (after == 1).sum() * math.log(CODE_POINTS)
    return nats


@pytest.mark.parametrize("name", SIZES)
def test_the_saved_model_gives_the_nats_that_numpy_gives(name, tmp_path):
    preprocessing, _, model = a_model(name)
    documents = [codes_of(text) for text in TEXTS]
    loaded, answers = loaded_with_answers(model, tmp_path, padded(documents))
    assert answers.dtype == np.float32
    assert answers[:, 1].tolist() == [len(text) + 1 for text in TEXTS]
    following = find_next(loaded)
    for ids, answer in zip(ids_of(documents, preprocessing), answers, strict=True):
        for step in (1, 5):
            assert answer[0] == pytest.approx(_nats(following, ids, step), rel=1e-6)


@pytest.mark.parametrize("name", SIZES)
def test_padding_and_other_documents_change_nothing(name):
    _, _, model = a_model(name)
    documents = padded([codes_of(text) for text in TEXTS])
    together = np.asarray(model(documents))
    for row, answer in enumerate(together):
        alone = documents[row : row + 1, : len(TEXTS[row])]
        np.testing.assert_allclose(np.asarray(model(alone))[0], answer, rtol=1e-6)


def test_the_loss_of_a_crop_is_its_cross_entropy():
    preprocessing, network, _ = a_model("gru_lm")
    (ids,) = ids_of([codes_of("hello")], preprocessing)
    (crop,) = crops_of(ids, seed=1)
    outputs = network(crop[None])
    expected = _nats(find_next(network), ids, 1)
    loss = HEAD.losses(network, None, outputs, TrainingSpec())
    assert float(loss[0]) == pytest.approx(expected / CROP, rel=1e-6)
    score = HEAD.training_scores(None, outputs)
    assert float(score[0]) == pytest.approx(expected / 6, rel=1e-6)


@pytest.mark.system
def test_a_network_learns():
    import keras

    preprocessing, network, _ = a_model("gru_lm")
    ids = ids_of([codes_of("hello world")] * 8, preprocessing)
    crops = np.array([crop for one in ids for crop in crops_of(one, 1)])
    network.compile(keras.optimizers.Adam(0.01), lambda _, nats: nats[:, 0] / CROP)
    losses = network.fit(crops, np.zeros((8, 2)), epochs=15, verbose=0)
    first, *_, last = losses.history["loss"]
    assert last < first / 2


def test_crops_hold_each_character_and_end_where_the_document_does():
    for size in (1, CROP - 1, CROP, CROP + 1, 500):
        ids = np.arange(2, 2 + size, dtype=np.int32)
        crops = [*crops_of(ids, seed=1)]
        assert all(crop.shape == (CROP + 1,) for crop in crops)
        assert crops[0][0] == 0
        predicted = [
            int(after)
            for crop in crops
            for before, after in itertools.pairwise(crop)
            if before or after
        ]
        assert {*predicted} == {0, *ids.tolist()}
        # The first crop overlaps the others, and only it.
        assert len(predicted) - len({*predicted}) < CROP
    assert [c.tolist() for c in crops_of(ids, 1)] == [c.tolist() for c in crops]
    assert [c.tolist() for c in crops_of(ids, 2)] != [c.tolist() for c in crops]


def test_another_network_is_refused():
    import keras

    window = keras.Input((None,), dtype="int32")
    vector = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(4, 3)(window))
    with pytest.raises(SpecError, match="needs the nats of each document"):
        HEAD.check_network(keras.Model(window, vector), DATA, "own")
    two = keras.Model(window, keras.layers.Dense(2)(vector))
    with pytest.raises(SpecError, match="holds no model called 'next'"):
        HEAD.check_network(two, DATA, "own")
