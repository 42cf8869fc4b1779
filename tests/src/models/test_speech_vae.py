"""The voice: it learns, answers the length that is asked for, and survives saving."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from tests.src.tasks.synthesis.conftest import SAMPLES, data, takes

from headrace import models
from headrace.pipeline import TrainingSpec
from headrace.tasks.learn import Fitting
from headrace.tasks.synthesis.data import QUESTIONS
from headrace.tasks.synthesis.distances import lengths
from headrace.tasks.synthesis.learn import HEAD
from headrace.tasks.synthesis.questions import Layout

__all__ = ["data"]
SMALL = {"width": 16, "dilations": [1, 2]}


@pytest.fixture(scope="module")
def built(data):
    import keras

    keras.utils.set_random_seed(1)
    return models.build("speech_vae", data, SMALL)


def examples(data, built):
    """Eight takes with their questions, as the network is fitted to them."""
    sounds, keys = takes(2)
    items = (sounds * 32767).astype(np.int16)
    texts = [data.texts[text] for text, _ in keys]
    groups = [data.speakers[speaker] for _, speaker in keys]
    questions = QUESTIONS.of(items, pa.chunked_array([texts]), groups, data)
    rows = SimpleNamespace(items=items, questions=questions)
    fitting = Fitting(*built, data, TrainingSpec())
    return HEAD.examples(rows, fitting)[0]


@pytest.mark.system
def test_the_loss_falls_in_a_few_steps(data, built):
    import keras

    network = keras.models.clone_model(built[1])
    batch = examples(data, built)
    assert batch.shape[1:] == network.input_shape[1:]
    optimizer = keras.optimizers.Adam(0.01)
    network.compile(optimizer, loss=lambda _, given: given[:, 0])
    losses = [float(network.train_on_batch(batch, batch[:, 0])) for _ in range(15)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


def test_the_length_and_the_noise_are_as_asked(data, built):
    model = models.compose(data, *built)
    asked = [
        {"text": "down", "speaker": "low", "seconds": 0.25},
        {"text": "down", "speaker": "low", "seconds": 0.4},
        {"text": "up we go", "speaker": "high", "seconds": 0.25, "seed": 9},
    ]
    sounds = np.asarray(model(QUESTIONS.check_input(asked, data)))
    assert sounds.shape == (3, SAMPLES)
    assert sounds.dtype == np.float32
    assert np.isfinite(sounds).all()
    assert np.abs(sounds).max() <= 1
    assert lengths(sounds) == pytest.approx([2000, 3200, 2000], abs=8)


def test_answers_survive_saving_and_do_not_depend_on_the_batch(data, built, tmp_path):
    import keras

    model = models.compose(data, *built)
    asked = [{"text": text, "seed": seed} for text in data.texts for seed in (1, 2)]
    questions = QUESTIONS.check_input(asked, data)
    given = np.asarray(model(questions))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(np.asarray(loaded(questions)), given)
    alone = np.concatenate([np.asarray(model(one[np.newaxis])) for one in questions])
    assert np.abs(alone - given).max() < 1e-4


def test_a_text_that_is_shorter_has_states_for_its_own_characters_only(data, built):
    """What follows the text is padding: its values do not change the answer."""
    voice = built[1].get_layer("voice")
    question = QUESTIONS.check_input({"text": "down"}, data)
    place = Layout.of(data).text
    assert (question[0, place][4:] == 0).all()
    padded = question.copy()
    padded[0, place][4:] = 7  # a code point that the data does not have
    first, second = (np.asarray(voice(one)[0]) for one in (question, padded))
    assert np.array_equal(first, second)
