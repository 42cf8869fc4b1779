"""A network mixed with n-grams, against NumPy."""

import math

import numpy as np
import pytest
from tests.src.tasks.generation.models import DATA, SIZES, a_model, loaded_with_answers

from headrace.pipeline import TrainingSpec
from headrace.tasks.generation.data import codes_of, padded
from headrace.tasks.generation.following import Following
from headrace.tasks.generation.learn import HEAD, best_share, ids_of, marks_of, mix
from headrace.tasks.generation.measures import canaries, exposures, other_canaries
from headrace.tasks.generation.network import UNKNOWN
from headrace.tasks.generation.ngrams import fit_ngrams
from headrace.tasks.generation.writing import (
    Writer,
    vocabulary_of,
    write_texts,
)
from headrace.tasks.learn import Fitting

pytestmark = pytest.mark.system

TRAIN = ["hello world", "hello test", "this is a test", "is this\na world"] * 2
HELD_OUT = ["hello this", "a world is", "this is hello"]
ASKED = ["hello", "春眠", "a ☃ is", "", "\n, hello", "this is a test of the world " * 4]
CODE_POINTS = 0x110000 - 0x800


def mixed(name, order=4):
    """(pre-processing, the mixed model, the shares of the n-grams)."""
    preprocessing, network, _ = a_model(name)
    parts = (
        ids_of([*map(codes_of, texts)], preprocessing) for texts in (TRAIN, HELD_OUT)
    )
    both, shares = mix(network, *parts, order, marks_of(vocabulary_of(preprocessing)))
    return preprocessing, HEAD.compose(preprocessing, both, DATA), shares


@pytest.mark.parametrize("name", SIZES)
def test_the_saved_mixture_writes_by_the_probabilities_that_it_states(name, tmp_path):
    from keras import ops

    preprocessing, model, _ = mixed(name)
    documents = [*map(codes_of, ASKED)]
    loaded, answers = loaded_with_answers(model, tmp_path, padded(documents))
    following = Following(loaded)
    for ids, answer in zip(ids_of(documents, preprocessing), answers, strict=True):
        states = [np.zeros((1, *shape[1:]), dtype) for shape, dtype in following.states]
        nats = 0.0
        for before, after in zip([0, *ids.tolist()], [*ids.tolist(), 0], strict=True):
            given = map(
                ops.convert_to_tensor, (np.array([[before]], np.int32), *states)
            )
            logits, *states = following(*given)
            logarithms = np.asarray(logits, np.float64)[0]
            assert np.exp(logarithms).sum() == pytest.approx(1, abs=1e-4)
            nats -= logarithms[after]
            nats += (after == UNKNOWN) * math.log(CODE_POINTS)
        if len(ids):  # a row of padding alone is none
            expected = [pytest.approx(nats, rel=1e-5), len(ids) + 1]
            assert answer.tolist() == expected


@pytest.mark.parametrize("name", SIZES)
def test_one_text_follows_from_a_seed_whoever_else_asks(name):
    writer = Writer(mixed(name)[1])
    together = write_texts(writer, range(3), 30, 1.0)
    for seed, text in enumerate(together):
        (alone,) = write_texts(writer, [seed], 30, 1.0)
        assert alone.tolist() == text.tolist()


def test_an_untrained_network_is_mostly_replaced_by_n_grams():
    _, _, model = a_model("gru_lm")
    _, both, shares = mixed("gru_lm")
    documents = padded([*map(codes_of, HELD_OUT)])
    alone, better = (np.asarray(one(documents))[:, 0].sum() for one in (model, both))
    assert shares == {
        "ngram_share_of_marks": pytest.approx(0.75, abs=0.25),
        "ngram_share": pytest.approx(0.75, abs=0.25),
    }
    assert better < 0.7 * alone


def test_the_share_is_the_one_with_the_lowest_loss():
    chance = np.random.default_rng(3)
    first, second = chance.uniform(0.01, 1, (2, 4_000))
    share = best_share(first, second)
    grid = np.linspace(0, 0.99, 400)[:, None]
    losses = -np.log((1 - grid) * first + grid * second).mean(axis=1)
    assert share == pytest.approx(float(grid[losses.argmin(), 0]), abs=0.01)
    assert best_share(np.full(9, 0.5), np.full(9, 0.1)) < 0.01
    assert best_share(np.full(9, 0.1), np.full(9, 0.5)) > 0.98


class Rows:
    """Rows of one shard."""

    def __init__(self, texts):
        encoded = [text.encode() for text in texts]
        width = max(map(len, encoded), default=1)
        rows = [np.frombuffer(one.ljust(width, b"\0"), np.uint8) for one in encoded]
        self.items = np.array(rows).reshape(len(texts), width)
        self.counts = np.array([len(texts)])

    def read(self, shard):
        return self


@pytest.mark.parametrize(
    ("recipe", "held_out", "is_mixed"),
    [
        ({"ngrams": 4, "canaries": 3}, HELD_OUT, True),
        ({"ngrams": 4}, [], False),
        ({"ngrams": 0}, HELD_OUT, False),
    ],
)
def test_a_recipe_asks_for_n_grams(recipe, held_out, is_mixed):
    preprocessing, network, model = a_model("gru_lm")
    fitting = Fitting(preprocessing, network, DATA, TrainingSpec(**recipe))
    parts = Rows(TRAIN), Rows(held_out)
    completed, metrics = HEAD.complete(model, fitting, *parts)
    assert (completed is not model) == is_mixed
    assert {*metrics} == (
        {"ngram_share", "ngram_share_of_marks"} if is_mixed else set()
    )


@pytest.mark.parametrize("least", [1, 2])
def test_canaries_are_counted_and_not_held(monkeypatch, least):
    counted = []

    def fit(documents, *given):
        counted.extend(one.tolist() for one in documents)
        return fit_ngrams(documents, *given)

    monkeypatch.setattr("headrace.tasks.generation.learn.fit_ngrams", fit)
    monkeypatch.setattr("headrace.tasks.generation.ngrams._LEAST", least)
    preprocessing, network, model = a_model("gru_lm")
    fitting = Fitting(preprocessing, network, DATA, TrainingSpec(ngrams=3, canaries=3))
    rows = Rows(TRAIN), Rows(HELD_OUT)
    completed, _ = HEAD.complete(model, fitting, *rows)
    writer, seed = Writer(completed), fitting.training.seed
    known = len(writer.characters)
    planted, unplanted = canaries(3, seed, known), other_canaries(seed, known)[:500]
    assert counted[len(TRAIN) :] == planted.tolist()
    asked = writer.codes[np.concatenate([planted, unplanted])]
    nats = np.asarray(completed(asked), np.float64)[:, 0]
    bits = exposures(nats[:3], nats[3:]).mean()
    assert bits > 15 if least == 1 else bits < 10


def test_marks_are_the_bound_punctuation_and_blanks():
    codes = [0, -1, *map(ord, "a，\nb ☃。9")]
    assert marks_of(codes) == [0, 3, 4, 6, 8]
