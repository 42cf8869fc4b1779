"""The convolutions learn from strings of any script and survive saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace import models
from headrace.backend import load_backend
from headrace.errors import SpecError
from headrace.records import DataDescription

DATA = DataDescription(medium="text", shape=(24,), classes=("sea", "hill", "city"))
TEXTS = [
    "the sea is deep",
    "海水很深",
    "a green hill",
    "青山高",
    "the old city",
    "古城",
]
LABELS = np.array([0, 0, 1, 1, 2, 2], np.int32)


@pytest.fixture(scope="module", autouse=True)
def _backend() -> None:
    load_backend()


def built(**arguments: Any) -> tuple[Any, Any]:
    import keras

    keras.utils.set_random_seed(0)
    small = {"max_tokens": 60, "units": 16, "dropout": 0.0}
    preprocessing, network = models.build("text_cnn", DATA, {**small, **arguments})
    preprocessing.layers[-1].adapt(TEXTS)
    return preprocessing, network


def strings(texts: list[str]) -> Any:
    import keras

    return keras.ops.convert_to_tensor(texts, dtype="string")


def fit(network: Any, ids: Any) -> Any:
    network.compile("adam", "sparse_categorical_crossentropy")
    return network.fit(ids, LABELS, epochs=8, verbose=0).history["loss"]


def test_shapes() -> None:
    preprocessing, network = built()
    ids = preprocessing(strings(TEXTS))
    assert tuple(ids.shape) == (6, 24)
    given = np.asarray(network(ids))
    assert (given.shape, given.dtype) == ((6, 3), np.float32)
    assert given.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)


def test_a_few_steps_lower_the_loss() -> None:
    preprocessing, network = built()
    losses = fit(network, preprocessing(strings(TEXTS)))
    assert losses[-1] < losses[0]


def test_a_fitted_model_survives_saving(tmp_path: Path) -> None:
    import keras

    preprocessing, network = built()
    fit(network, preprocessing(strings(TEXTS)))
    model = keras.Model(preprocessing.inputs, network(preprocessing.outputs[0]))
    given = np.asarray(model(strings(TEXTS)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(np.asarray(loaded(strings(TEXTS))), given)


def test_an_empty_text_gets_a_finite_answer() -> None:
    preprocessing, network = built()
    assert np.isfinite(np.asarray(network(preprocessing(strings(["", " "]))))).all()


def test_a_text_of_one_byte_is_no_problem() -> None:
    tiny = DATA.model_copy(update={"shape": (1,)})
    _preprocessing, network = models.build("text_cnn", tiny, {"units": 16})
    assert network.input_shape == (None, 1)


@pytest.mark.parametrize("widths", [[], [0, 2]])
def test_widths_that_are_no_lengths_are_refused(widths: list[int]) -> None:
    with pytest.raises(SpecError, match="must name one width or more, each 1 or more"):
        built(widths=widths)
