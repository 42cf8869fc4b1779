"""The convolutional family: images move in training alone, and large ones cost less."""

import numpy as np
import pytest

from headrace import models
from headrace.models.cnn import augment, first_stride
from headrace.records import DataDescription


def data_of(shape):
    return DataDescription(medium="image", shape=shape, classes=("a", "b", "c"))


def images_of(shape, count=6):
    items = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    return items.astype(np.float32)


def mover(shape, shift, zoom):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    return keras.Model(inputs, augment(inputs, shift, zoom))


@pytest.mark.parametrize("shape", [(28, 28, 1), (17, 30, 3), (1, 1, 1)])
def test_images_stay_as_they_are_outside_training(shape):
    images = images_of(shape)
    model = mover(shape, 0.1, 0.2)
    assert np.array_equal(np.asarray(model(images)), images)
    assert np.array_equal(np.asarray(model(images, training=False)), images)


def test_each_image_of_a_batch_moves_otherwise_and_each_time():
    images = np.repeat(images_of((8, 8, 1), 1), 5, axis=0)
    model = mover((8, 8, 1), 0.2, 0.1)
    first = np.asarray(model(images, training=True))
    second = np.asarray(model(images, training=True))
    assert (first.shape, first.dtype) == ((5, 8, 8, 1), np.float32)
    assert len(np.unique(first.sum(axis=(1, 2, 3)))) == 5
    assert not np.array_equal(first, second)


def test_a_shift_is_no_farther_than_told():
    dot = np.zeros((400, 21, 31, 1), np.float32)
    dot[:, 10, 15] = 1
    given = np.asarray(mover((21, 31, 1), 0.1, 0.0)(dot, training=True))[..., 0]
    rows = (given.sum(axis=2) * np.arange(21)).sum(axis=1) - 10
    columns = (given.sum(axis=1) * np.arange(31)).sum(axis=1) - 15
    assert given.sum(axis=(1, 2)) == pytest.approx(np.ones(400), abs=1e-5)
    assert 1.9 < np.abs(rows).max() <= 2.1 + 1e-4
    assert 2.8 < np.abs(columns).max() <= 3.1 + 1e-4
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.2


@pytest.mark.system
def test_a_zoom_is_about_the_middle_and_no_greater_than_told():
    edge = np.zeros((400, 41, 41, 1), np.float32)
    edge[:, 10:31, 10:31] = 1
    given = np.asarray(mover((41, 41, 1), 0.0, 0.2)(edge, training=True))[..., 0]
    assert given == pytest.approx(given[:, ::-1, ::-1], abs=1e-4)
    sides = given[:, 20].sum(axis=1)
    assert 21 / 1.2 - 0.5 < sides.min() < 18.5
    assert 25 < sides.max() < 21 / 0.8 + 0.5


def test_nothing_is_added_where_images_are_not_to_move():
    import keras

    inputs = keras.Input((8, 8, 1))
    assert augment(inputs, 0, 0) is inputs


@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((8, 8, 1), 1),
        ((28, 28, 1), 1),
        ((63, 90, 3), 1),
        ((64, 64, 3), 2),
        ((128, 128, 3), 4),
    ],
)
def test_large_images_are_strided_over(shape, stride):
    assert first_stride(shape) == stride


def test_a_few_steps_with_moving_images_lower_the_loss():
    import keras

    keras.utils.set_random_seed(0)
    preprocessing, network = models.build("cnn", data_of((12, 12, 1)), {"dropout": 0.0})
    network.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    x = np.asarray(preprocessing(images_of((12, 12, 1), 24)))
    y = np.arange(24) % 3
    losses = [float(network.train_on_batch(x, y)) for _ in range(10)]
    assert losses[-1] < losses[0]
