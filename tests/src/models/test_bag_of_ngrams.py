"""The bag of n-grams learns from strings of any script and survives saving."""

import numpy as np
import pytest

from headrace import models
from headrace.errors import SpecError
from headrace.records import DataDescription

DATA = DataDescription(medium="text", shape=(24,), classes=("sea", "hill", "city"))
TEXTS = [
    "the sea is deep",
    "海水很深",
    "a green hill",
    "青山高",
    "the old city",
    "古城 ",
]
LABELS = np.array([0, 0, 1, 1, 2, 2], np.int32)
SMALL = {"max_tokens": 600, "dropout": 0.0}


def learn(preprocessing, texts):
    import keras

    for layer in preprocessing.layers:
        if isinstance(layer, keras.layers.TextVectorization):
            if layer.get_config()["vocabulary"] is None:
                layer.adapt(texts)


def built(**arguments):
    import keras

    keras.utils.set_random_seed(0)
    preprocessing, network = models.build("bag_of_ngrams", DATA, {**SMALL, **arguments})
    learn(preprocessing, TEXTS)
    return preprocessing, network


def ids_of(preprocessing, texts):
    import keras

    return preprocessing(keras.ops.convert_to_tensor(texts, dtype="string"))


def fit(network, ids):
    import keras

    sgd = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    network.compile(sgd, "sparse_categorical_crossentropy")
    return network.fit(ids, LABELS, epochs=8, verbose=0).history["loss"]


def test_texts_without_a_known_ngram_get_the_same_finite_answer():
    preprocessing, network = built()
    fit(network, ids_of(preprocessing, TEXTS))
    given = np.asarray(network(ids_of(preprocessing, ["", "ΩΩ"])))
    assert np.isfinite(given).all()
    assert given[0] == pytest.approx(given[1])


def test_a_block_has_length_one_however_often_an_ngram_repeats():
    from headrace.models.bag_of_ngrams import _length

    ids = np.array([[2, 2, 2, 600, 0, 1]], np.int32)
    weights = np.log(np.array([[3.0, 3.0, 3.0, 601.0, 1.0, 1.0]], np.float32))
    expected = np.hypot(3 * np.log(3.0), np.log(601.0))
    assert np.asarray(_length(ids, weights)) == pytest.approx(
        np.array([[expected]]), rel=1e-5
    )


@pytest.mark.parametrize(
    "arguments",
    [{"character_orders": []}, {"character_orders": [0]}, {"longest_words": -1}],
)
def test_numbers_that_are_no_lengths_are_refused(arguments):
    with pytest.raises(SpecError, match="must name one length or more, each 1 or more"):
        built(**arguments)


def test_texts_without_blanks_are_no_problem():
    preprocessing, _network = models.build("bag_of_ngrams", DATA, SMALL)
    learn(preprocessing, ["海水很深了", "青山高高的"])
    assert np.asarray(ids_of(preprocessing, ["海水"])).any()


def test_short_ngrams_do_not_reach_from_one_word_into_the_next():
    preprocessing, _network = built(character_orders=[3], longest_words=0)
    (ids,) = np.asarray(ids_of(preprocessing, ["the sea"]))
    texts = ["the", "he ", "e s", " se", "sea"]
    assert [bool(i) for i in ids[: len(texts)]] == [True, True, False, True, True]
    assert not ids[len(texts) :].any()


def test_long_ngrams_tell_phrases():
    preprocessing, _network = built(character_orders=[5], longest_words=0)
    (ids,) = np.asarray(ids_of(preprocessing, ["the sea"]))
    assert [bool(i) for i in ids[:4]] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "high", "low"),
    [
        ("the sea is deep and old", 1.0, 0.3),
        ("海水很深青山高古城里有人家", 0.2, 1.0),
        ("我们几个人二零二零年六月去了北京 Google 公司看看", 0.2, 1.0),
        ("海", 0.5, 0.5),
    ],
)
def test_what_ngrams_count_follows_from_how_far_blanks_are_apart(text, high, low):
    from headrace.models.bag_of_ngrams import _shares

    long = [" " not in text[i + 1 : i + 3] for i in range(len(text) - 3)]
    phrases = np.ones((1, len(text)))
    words = np.array([long or [0]], np.int32)
    blocks = {1: np.ones((1, len(text))), 4: words, 5: phrases}
    given = [float(np.asarray(share).item()) for share in _shares(blocks)]
    assert given == pytest.approx([high, low], abs=0.01)
