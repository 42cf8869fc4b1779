"""The residual family: its form, any size of image, and what it refuses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace import models
from headrace.backend import load_backend
from headrace.errors import SpecError
from headrace.models.resnet import build
from headrace.records import DataDescription


@pytest.fixture(scope="module", autouse=True)
def _backend() -> None:
    load_backend()


def data_of(shape: tuple[int, int, int]) -> DataDescription:
    return DataDescription(medium="image", shape=shape, classes=("a", "b", "c"))


def images_of(shape: tuple[int, int, int], count: int = 6) -> Any:
    items = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    return items.astype(np.float32)


def test_arguments_say_how_many_stages_and_blocks() -> None:
    _, network = models.build(
        "resnet", data_of((16, 16, 3)), {"filters": [4, 8], "blocks": 2}
    )
    shapes = [tuple(w.shape) for w in network.trainable_weights]
    assert Counter(shape for shape in shapes if len(shape) == 4) == {
        (3, 3, 3, 4): 1,
        (3, 3, 4, 4): 4,
        (3, 3, 4, 8): 1,
        (1, 1, 4, 8): 1,
        (3, 3, 8, 8): 3,
    }
    means = network.get_layer(index=-3)
    assert means.input.shape == (None, 4, 4, 8)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 40, 3), (28, 28, 1), (128, 96, 3)])
def test_any_shape_gives_probabilities_that_survive_saving(
    shape: tuple[int, int, int], tmp_path: Path
) -> None:
    import keras

    data = data_of(shape)
    model = models.compose(data, *models.build("resnet", data, {}))
    given = np.asarray(model(images_of(shape)))
    assert given.shape == (6, 3)
    assert given.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(np.asarray(loaded(images_of(shape))), given)


def test_a_few_steps_lower_the_loss() -> None:
    import keras

    keras.utils.set_random_seed(0)
    arguments = {"filters": [8, 16], "dropout": 0.0}
    preprocessing, network = models.build("resnet", data_of((12, 12, 1)), arguments)
    network.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    x = np.asarray(preprocessing(images_of((12, 12, 1), 24)))
    y = np.arange(24) % 3
    losses = [float(network.train_on_batch(x, y)) for _ in range(10)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("arguments", [{"filters": []}, {"blocks": 0}])
def test_a_network_without_blocks_is_refused(arguments: dict[str, Any]) -> None:
    message = "at least one stage, with at least one block: received filters="
    with pytest.raises(ValueError, match=message):
        build(data_of((8, 8, 1)), **arguments)
    with pytest.raises(SpecError, match=message):
        models.build("resnet", data_of((8, 8, 1)), arguments)
