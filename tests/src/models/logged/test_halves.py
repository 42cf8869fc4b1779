"""A model of texts answers without padding, where padding changes nothing."""

import numpy as np
import pytest

from headrace.imports.backend import compiled
from headrace.models.logged import loading
from headrace.models.logged.halves import halves

TEXTS = np.array(["b a", "a", "a b b a b a b", "", "b"] * 3, object)
MOST = 50


def a_model(*, masked):
    """Texts to ids of words, their mean vectors, and two probabilities."""
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(3)
    text = keras.Input((), dtype="string")
    words = layers.TextVectorization(output_sequence_length=MOST, vocabulary=["a", "b"])
    first = keras.Model(text, words(text))
    ids = keras.Input((None,), dtype="int64")
    vectors = layers.Embedding(6, 4, embeddings_initializer="normal")(ids)
    used = ops.not_equal(ids, 0) if masked else None
    mean = layers.GlobalAveragePooling1D()(vectors, mask=used)
    second = keras.Model(ids, layers.Dense(2, "softmax")(ops.nan_to_num(mean) * 50))
    raw = keras.Input((), dtype="string")
    return keras.Model(raw, second(first(raw)))


@pytest.fixture
def widths(monkeypatch):
    """The widths of all ids that are answered."""
    found = []

    def recorded(model):
        compute = compiled(model)

        def answer(items):
            found.extend(items.shape[1:])
            return compute(items)

        return answer

    monkeypatch.setattr(loading, "compiled", recorded)
    return found


def test_texts_are_answered_by_their_length(widths):
    model = a_model(masked=True)
    answers = loading.outputs(model, TEXTS)
    assert max(widths) == 7
    np.testing.assert_allclose(answers, compiled(model)(TEXTS), atol=1e-6)
    assert loading.outputs(model, TEXTS[:0]).shape == (0, 2)


def test_batches_of_texts_have_a_bounded_number_of_ids(widths, monkeypatch):
    model = a_model(masked=True)
    monkeypatch.setattr(loading, "IDS", 4)
    answers = loading.outputs(model, TEXTS)
    assert widths == [1, 1, 2, 2, 7, 7, 7]
    np.testing.assert_allclose(answers, compiled(model)(TEXTS), atol=1e-6)


def test_a_model_whose_answers_depend_on_the_padding_keeps_it(widths):
    model = a_model(masked=False)
    assert halves(model) is None
    answers = loading.outputs(model, TEXTS)
    np.testing.assert_array_equal(answers, compiled(model)(TEXTS))
    assert widths == []


def test_padding_is_tried_again_once_the_answers_differ():
    model = a_model(masked=True)
    head = model.layers[-1].layers[-1]
    learned = head.get_weights()
    head.set_weights([0 * one for one in learned])
    assert halves(model) is None
    head.set_weights(learned)
    assert halves(model) is not None
