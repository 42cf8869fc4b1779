"""Whatever family answers with probabilities: it learns, and survives saving.

What is special to a family has tests of its own.
"""

import numpy as np
import pytest

from headrace import models
from headrace.errors import SpecError
from headrace.models import builder_names
from headrace.records import DataDescription

CLASSES = ("sea", "hill", "city")
TEXTS = [
    "the sea is deep",
    "海水很深",
    "a green hill",
    "青山高",
    "the old city",
    "古城 ",
]
TEXT = DataDescription(medium="text", shape=(24,), classes=CLASSES)
AUDIO = DataDescription(
    medium="audio", shape=(2000,), sample_rate_hz=8000, classes=CLASSES[:2]
)
SMALL = {
    "mlp": {},
    "cnn": {},
    "resnet": {"filters": [8, 16]},
    "bag_of_ngrams": {"max_tokens": 600},
    "text_cnn": {"max_tokens": 60, "units": 16},
    "transformer": {"max_tokens": 60, "units": 16},
    "audio_cnn": {"filters": [4, 8]},
    "crnn": {"filters": [4, 8], "units": 8},
}
LARGE_IMAGES = [(5, 40, 3), (28, 28, 1), (128, 96, 3)]


def image(*shape):
    return DataDescription(medium="image", shape=shape, classes=CLASSES)


def data_of(name):
    (medium,) = [m for m in ("image", "text", "audio") if name in builder_names(m)]
    return {"image": image(8, 8, 3), "text": TEXT, "audio": AUDIO}[medium]


def items_of(data):
    """Items as a model takes them, that can be told apart, and their labels."""
    import keras

    labels = np.arange(12) % len(data.classes)
    if data.medium == "text":
        return keras.ops.convert_to_tensor(TEXTS, "string"), np.array(
            [0, 0, 1, 1, 2, 2]
        )
    if data.medium == "image":
        items = np.random.default_rng(0).integers(0, 256, (12, *data.shape), np.uint8)
        return items.astype(np.float32), labels
    time = np.arange(1000) / 8000
    offsets = np.arange(12)[:, None]
    low, high = (np.sin(2 * np.pi * (hertz + offsets) * time) for hertz in (400, 1200))
    falls, rises = np.hstack([high, low]), np.hstack([low, high])
    return np.where(labels[:, None], rises, falls).astype(np.float32), labels


def build(name, data, **arguments):
    import keras

    keras.utils.set_random_seed(0)
    preprocessing, network = models.build(name, data, {**SMALL[name], **arguments})
    for layer in preprocessing.layers:
        if isinstance(layer, keras.layers.TextVectorization):
            if layer.get_config()["vocabulary"] is None:
                layer.adapt(TEXTS)
    return preprocessing, network


def test_every_family_of_the_vector_tasks_is_here():
    by_medium = [builder_names(m, "vector") for m in ("image", "text", "audio")]
    every = {name for names in by_medium for name in names}
    assert set(SMALL) == every - {"pretrained"}  # which has tests of its own


@pytest.mark.parametrize(
    ("name", "data"),
    [
        *[pytest.param(name, data_of(name), id=name) for name in SMALL],
        *[
            pytest.param(name, image(*shape), id=f"{name}, {shape}")
            for name in ("cnn", "resnet")
            for shape in LARGE_IMAGES
        ],
    ],
)
def test_answers_are_probabilities_and_survive_saving(name, data, tmp_path):
    import keras

    model = models.compose(data, *build(name, data))
    items, labels = items_of(data)
    given = np.asarray(model(items))
    assert (given.shape, given.dtype) == ((len(labels), len(data.classes)), np.float32)
    assert given.sum(axis=1) == pytest.approx(np.ones(len(labels)), abs=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(np.asarray(loaded(items)), given)


@pytest.mark.system
@pytest.mark.parametrize("name", SMALL)
def test_a_few_steps_lower_the_loss(name):
    import keras

    data = data_of(name)
    preprocessing, network = build(name, data, dropout=0.0)
    optimizer = keras.optimizers.Adam(0.01)
    if name == "bag_of_ngrams":
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    elif data.medium == "image":
        optimizer = keras.optimizers.SGD(0.05)
    network.compile(optimizer, "sparse_categorical_crossentropy")
    items, labels = items_of(data)
    inputs = np.asarray(preprocessing(items))
    losses = [float(network.train_on_batch(inputs, labels)) for _ in range(15)]
    assert losses[-1] < (1.0 if data.medium == "image" else 0.5) * losses[0]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *[(name, (1, 1, 1)) for name in ("mlp", "cnn", "resnet")],
        *[(name, (1,)) for name in ("bag_of_ngrams", "text_cnn", "transformer")],
    ],
)
def test_the_smallest_items_are_no_problem(name, shape):
    data = data_of(name).model_copy(update={"shape": shape})
    _preprocessing, network = models.build(name, data, SMALL[name])
    assert network.output_shape == (None, 3)


@pytest.mark.parametrize("name", ["bag_of_ngrams", "text_cnn", "transformer"])
def test_an_empty_text_gets_a_finite_answer(name):
    import keras

    model = models.compose(TEXT, *build(name, TEXT))
    texts = keras.ops.convert_to_tensor(["", " "], "string")
    assert np.isfinite(np.asarray(model(texts))).all()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("text_cnn", {"widths": []}, "must name one width or more, each 1 or more"),
        ("text_cnn", {"widths": [0, 2]}, "must name one width or more, each 1 or more"),
        ("transformer", {"heads": 0}, "units must be a multiple of heads: 16 and"),
        ("transformer", {"heads": 3}, "units must be a multiple of heads: 16 and"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name, arguments, message):
    with pytest.raises(SpecError, match=message):
        build(name, TEXT, **arguments)
