"""Occlusion of models whose explanations are known."""

from functools import partial

import numpy as np
import pytest

from headrace.explanations import Item, occlude, why_not
from headrace.explanations.occlusion import Part
from headrace.imports.backend import load_backend
from headrace.media import medium
from headrace.models import compose
from headrace.models.logged.loading import answers
from headrace.records import DataDescription


def test_a_linear_model_has_its_weights_times_the_pixels(
    model, images, pixels, weights
):
    for chosen in (0, 1):
        items = [Item.of(item, chosen, images) for item in pixels]
        own = weights[:, chosen] - weights[:, 1 - chosen]  # of the log-odds
        values = occlude(partial(answers, model), items, images)
        for item, found in zip(items, values, strict=True):
            wanted = own.reshape(4, 4) * item.item[..., 0] / 255
            assert found.reshape(4, 4) == pytest.approx(wanted, abs=1e-4)
            assert np.array_equal(item.pieces.present, item.item.ravel() > 0)


def test_a_sound_is_explained_by_time_and_frequency():
    """A network that adds up the features of one corner is explained by that corner."""
    load_backend()
    import keras

    data = DataDescription(
        medium="audio", task="regression", shape=(8_000,), sample_rate_hz=8_000
    )
    preprocessing = medium("audio").preprocessing(data)
    features = keras.Input(preprocessing.output_shape[1:])
    corner = features[:, :8, 20:]  # an eighth of a second, high frequencies
    total = keras.ops.sum(corner, axis=(1, 2))[:, None]
    model = compose(data, preprocessing, keras.Model(features, total))
    noise = np.random.default_rng(0).normal(0, 4_000, 8_000).astype(np.int16)
    (values,) = occlude(partial(answers, model), [Item.of(noise, 0, data)], data)
    values = values.reshape(8, 6)
    assert values[0, 3:].sum() > 5 * np.abs(values[2:]).sum()


def test_parts_are_named_and_sorted_by_strength(images, pixels):
    item = Item.of(pixels[0], 0, images)
    values = np.zeros((4, 4))
    values[1, 1], values[2, 1], values[0, 0] = 1.0, -2.0, 9.0  # the last is background
    first, second, *rest = item.parts(values.ravel())
    assert first == Part(name="rows 3 to 3, columns 2 to 2", value=-2.0)
    assert second == Part(name="rows 2 to 2, columns 2 to 2", value=1.0)
    assert [part.value for part in rest] == [0, 0]


@pytest.mark.parametrize("name", ["transcription", "generation", "synthesis"])
def test_other_tasks_are_not_explained(name):
    data = DataDescription(medium="text", task=name, shape=(64,))
    assert why_not(data) == f"the answers of a {name} are not explained"
