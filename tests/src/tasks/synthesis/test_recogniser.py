"""The recogniser: it learns texts and speakers, and is the same from its file."""

import pickle

import numpy as np
import pytest
from tests.src.tasks.synthesis.conftest import takes

from headrace.tasks.synthesis import recogniser
from headrace.tasks.synthesis.recogniser import Recogniser, recipe_digest

pytestmark = pytest.mark.system


def test_it_hears_takes_that_it_has_not_learned(trained):
    sounds, keys = takes(10, first=100)
    assert (trained.hear(sounds) == keys).mean() > 0.9


def test_it_is_the_same_from_its_file(trained, data):
    sounds, _ = takes(3, first=200)
    again = Recogniser(trained.file, data)
    assert np.array_equal(again.hear(sounds), trained.hear(sounds))


def test_another_process_needs_no_model_for_known_sounds(trained):
    sounds, _ = takes(2, first=300)
    heard = trained.hear(sounds)
    sent = pickle.loads(pickle.dumps(trained))
    assert sent._model is None
    assert np.array_equal(sent.hear(sounds), heard)
    assert sent._model is None


def test_sounds_that_are_not_finite_are_heard_as_something(trained):
    assert trained.hear(np.full((1, 4000), np.nan, np.float32)).shape == (1, 2)
    assert trained.hear(np.empty((0, 4000), np.float32)).shape == (0, 2)


def test_its_digest_depends_on_recordings_keys_and_recipe(data, monkeypatch):
    keys = np.array([[0, 1]])
    digest = recipe_digest(b"items", keys, data)
    assert digest == recipe_digest(b"items", keys.copy(), data)
    others = {
        recipe_digest(b"other", keys, data),
        recipe_digest(b"items", np.array([[1, 1]]), data),
        recipe_digest(b"items", keys, data.model_copy(update={"shape": (4001,)})),
    }
    monkeypatch.setitem(recogniser.RECIPE, "steps", 7)
    others.add(recipe_digest(b"items", keys, data))
    assert len({digest, *others}) == 5
