"""Small language models, adapted to a text and not trained."""

import numpy as np

from headrace.models import gru_lm
from headrace.records import DataDescription
from headrace.tasks.generation.data import codes_of
from headrace.tasks.generation.learn import HEAD

DATA = DataDescription(medium="text", task="generation", shape=(512,))
TEXT = "hello world\nthis is a test\n春眠不觉晓"
SIZES = {
    "gru_lm": {"units": 16},
    "gru_lm, tied, without n-grams": {"units": 16, "grams": (), "tied": True},
}


def a_model(name, text=TEXT):
    """(preprocessing, network, saved model) of one of `SIZES`."""
    import keras

    keras.utils.set_random_seed(1)
    sizes = {"width": 8, "places": 64, "max_tokens": 40, **SIZES[name]}
    preprocessing, network = gru_lm.build(DATA, **sizes)
    preprocessing.layers[-1].adapt(codes_of(text)[None])
    return preprocessing, network, HEAD.compose(preprocessing, network, DATA)


def loaded_with_answers(model, folder, items):
    """A model that was saved and loaded, and its answers, which are as before."""
    import keras

    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    answers = np.asarray(loaded(items))
    np.testing.assert_array_equal(answers, np.asarray(model(items)))
    return loaded, answers
