"""Occlusion and integrated gradients of models whose explanations are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.explanations import Explainer, Item, why_not
from headrace.explanations.gradients import Gradients
from headrace.explanations.parts import Part, parts_of, strongest
from headrace.explanations.places import Map, of_places
from headrace.imports.backend import load_backend
from headrace.media import medium
from headrace.media.text.texts import from_column
from headrace.models import build, compose
from headrace.models.logged.loading import answers
from headrace.records import DataDescription
from headrace.tasks import task

BOTH = pytest.mark.parametrize("method", ["gradients", "occlusion"])


@BOTH
def test_a_linear_model_has_its_weights_times_the_pixels(
    model: Any, images: Any, pixels: Any, weights: Any, method: Any
) -> None:
    explainer = Explainer(model, images)
    for chosen in (0, 1):
        items = [Item.of(item, chosen, images) for item in pixels]
        own = weights[:, chosen] - weights[:, 1 - chosen]  # of the log-odds
        for item, found in zip(items, explainer.maps(items, method), strict=True):
            wanted = own.reshape(4, 4) * item.item[..., 0] / 255
            assert found.values == pytest.approx(wanted, abs=1e-4)
            assert np.array_equal(found.present, item.item[..., 0] > 0)


def test_gradients_add_up_to_what_the_item_changes(model, images, pixels):
    items = [Item.of(item, 1, images) for item in pixels]
    explained = task("classification").explained
    chosen = np.ones(3, np.int32)
    change = explained.numbers(answers(model, pixels), chosen)
    change -= explained.numbers(answers(model, np.zeros_like(pixels)), chosen)
    found = Explainer(model, images).maps(items, "gradients")
    assert [one.values.sum() for one in found] == pytest.approx(change, abs=1e-4)
    assert max(one.error for one in found) < 1e-4


def of_the_sum(rise):
    """Gradients of a model whose first probability is a function of all pixels' sum."""
    load_backend()
    import keras

    preprocessing = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    first = keras.Input((16,))
    share = rise(keras.ops.sum(first, axis=1, keepdims=True) / (16 * 255))
    outputs = keras.ops.concatenate([0.2 + 0.6 * share, 0.8 - 0.6 * share], axis=1)
    network = keras.Model(first, outputs)
    return Gradients(preprocessing, network, task("classification").explained)


BRIGHT = np.full((1, 4, 4, 1), 255, np.float32)
WAY = (BRIGHT, np.zeros_like(BRIGHT), np.zeros(1, np.int32))


def test_the_error_of_completeness_shows_a_path_with_a_jump():
    """Gradients of a step are 0, so that nothing of the change is in their sum."""
    from keras import ops

    gradients = of_the_sum(lambda share: ops.cast(share > 0.3, "float32"))
    assert gradients(*WAY).errors == pytest.approx([1.0])


def test_a_steep_path_gets_more_steps():
    from keras import ops

    gradients = of_the_sum(lambda share: ops.sigmoid(300 * (share - 0.3)))
    rough = gradients(*WAY, refine=False)
    fine = gradients(*WAY)
    assert rough.errors[0] > 0.005
    assert fine.errors[0] < 0.1 * rough.errors[0]
    wanted = np.log(0.8 / 0.2) - np.log(0.2 / 0.8)  # from the one end to the other
    assert fine.values[0].sum() == pytest.approx(wanted, rel=0.005)


def test_a_model_of_another_form_has_occlusion_alone(images, pixels):
    load_backend()
    import keras

    flat = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(8),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    explainer = Explainer(flat, images)
    assert explainer.methods == ("occlusion",)
    assert explainer.no_gradients == "it is not made of pre-processing and network"
    items = [Item.of(pixels[0], 0, images)]
    assert explainer.maps(items, "occlusion")[0].values.shape == (4, 4)
    with pytest.raises(ValueError, match="pre-processing and network"):
        explainer.maps(items, "gradients")


TEXTS = DataDescription(medium="text", shape=(64,), target={"classes": ["ham", "spam"]})
WORDS = ["free", "prize", "lunch", "today", "won", "see"]


@pytest.mark.system
@pytest.mark.parametrize("family", ["bag_of_ngrams", "text_cnn", "transformer"])
def test_words_that_a_text_model_has_learned_stand_out(family):
    """Spam is what has the word "prize"; both methods find it, and add up."""
    load_backend()
    import keras

    random = np.random.default_rng(3)
    drawn = [random.choice(WORDS, 5).tolist() for _ in range(400)]
    texts = np.array([" ".join(words) for words in drawn], object)
    labels = np.array(["prize" in words for words in drawn], np.int32)
    keras.utils.set_random_seed(1)
    preprocessing, network = build(family, TEXTS, {})
    for layer in preprocessing.layers:
        if hasattr(layer, "adapt") and layer.get_config().get("vocabulary") is None:
            layer.adapt(texts)
    tokens = np.asarray(preprocessing(keras.ops.convert_to_tensor(texts)))
    network.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    network.fit(tokens, labels, batch_size=32, epochs=6, verbose=0)
    model = compose(TEXTS, preprocessing, network)
    text = "see lunch prize today won"
    stored = from_column(pa.array([text]), TEXTS.shape)
    assert answers(model, medium("text").raw(stored))[0, 1] > 0.9
    explainer = Explainer(model, TEXTS)
    item = Item.of(stored[0], 1, TEXTS)
    for method in ("gradients", "occlusion"):
        found = explainer.maps([item], method)[0]
        first = strongest(found, item.pieces)[0]
        assert first.name == "prize"
        assert first.value > 0
    assert explainer.maps([item], "gradients")[0].error < 0.01


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
    item = Item.of(noise, 0, data)
    explainer = Explainer(model, data)
    for method in ("gradients", "occlusion"):
        values = explainer.maps([item], method)[0].values
        assert values.shape == (8, 6)
        assert values[0, 3:].sum() > 5 * np.abs(values[2:]).sum()
    assert explainer.maps([item], "gradients")[0].error < 1e-4


def test_places_are_summed_over_the_bounds_of_pieces(images, pixels):
    values = np.arange(16.0).reshape(4, 4)
    pieces = Item.of(pixels[0], 0, images).pieces
    halves = np.array([0, 0.5, 1])
    summed, present = of_places(values, values > 11, pieces, (halves, halves))
    assert summed.tolist() == [[10, 18], [42, 50]]
    assert present.tolist() == [[False, False], [True, True]]


def test_parts_are_named_and_sorted_by_strength(images, pixels):
    pieces = Item.of(pixels[0], 0, images).pieces
    values = np.zeros((4, 4))
    values[1, 1], values[2, 1], values[0, 0] = 1.0, -2.0, 9.0  # the last is background
    found = Map(values, values != 0)
    assert len(parts_of(found, pieces)) == 4
    first, second = strongest(found, pieces, 2)
    assert first == Part(name="rows 3 to 3, columns 2 to 2", value=-2.0)
    assert second == Part(name="rows 2 to 2, columns 2 to 2", value=1.0)


@pytest.mark.parametrize("name", ["transcription", "generation", "synthesis"])
def test_other_tasks_are_not_explained(name):
    data = DataDescription(medium="text", task=name, shape=(64,))
    assert why_not(data) == f"the answers of a {name} are not explained"
