"""The frozen part of a network: where it is cut, and what is computed once."""

from __future__ import annotations

import numpy as np
import pytest
from tests.src.stages.fitting.test_checkpoints import (
    Killed,
    checkpoints,
    files,
    kill_after,
)

from headrace.stages.fitting.checkpoints import unpack
from headrace.stages.fitting.features import frozen_prefix

ITEMS = np.random.default_rng(0).random((5, 8), np.float32)


def layer(kind, *arguments):
    import keras

    return getattr(keras.layers, kind)(*arguments)


def network(*layers):
    import keras

    return keras.Sequential([keras.Input((8,)), *layers])


def fixed(layer):
    layer.trainable = False
    return layer


def dense(units=4):
    return layer("Dense", units, "relu")


def test_the_parts_give_what_the_network_gives_and_share_its_weights():
    whole = network(fixed(dense()), fixed(dense(6)), dense(2))
    prefix, rest = frozen_prefix(whole)
    assert (prefix.output_shape, rest.input_shape) == ((None, 6), (None, 6))
    np.testing.assert_array_equal(rest(prefix(ITEMS)), whole(ITEMS))
    assert rest.trainable_variables == whole.trainable_variables
    assert not prefix.trainable_variables
    rest.layers[-1].kernel.assign_add(np.ones((6, 2)))
    np.testing.assert_array_equal(rest(prefix(ITEMS)), whole(ITEMS))


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        pytest.param(lambda: [fixed(dense()), dense(2)], 4, id="a frozen layer"),
        pytest.param(
            lambda: [fixed(dense()), layer("UnitNormalization"), dense(2)],
            4,
            id="what has no weights, after it",
        ),
        pytest.param(
            lambda: [fixed(dense(6)), layer("Dropout", 0.5), dense(2)],
            6,
            id="dropout is no part of it",
        ),
        pytest.param(
            lambda: [fixed(dense()), fixed(layer("BatchNormalization")), dense(2)],
            4,
            id="frozen batch normalisation",
        ),
        pytest.param(
            lambda: [fixed(dense(7)), layer("BatchNormalization"), dense(2)],
            7,
            id="batch normalisation that learns",
        ),
        pytest.param(
            lambda: [
                fixed(network(dense(), layer("Dropout", 0.5), dense(3))),
                dense(2),
            ],
            3,
            id="a frozen model within the network",
        ),
    ],
)
def test_it_ends_where_something_learns_or_differs_in_training(layers, shape):
    prefix, rest = frozen_prefix(network(*layers()))
    assert prefix.output_shape == (None, shape)
    assert rest.trainable_variables


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param(lambda: [dense(), dense(2)], id="nothing is frozen"),
        pytest.param(lambda: [dense(), fixed(dense(2))], id="the first layer learns"),
        pytest.param(lambda: [layer("Flatten"), dense(2)], id="no weights are frozen"),
        pytest.param(lambda: [fixed(dense()), fixed(dense(2))], id="nothing learns"),
    ],
)
def test_other_networks_stay_whole(layers):
    assert frozen_prefix(network(*layers())) is None


def test_a_network_that_takes_two_arrays_of_the_frozen_part_stays_whole():
    import keras

    taken = keras.Input((8,))
    one, two = fixed(dense(4))(taken), fixed(dense(4))(taken)
    joined = layer("Concatenate")([dense(2)(one), dense(2)(two)])
    assert frozen_prefix(keras.Model(taken, joined)) is None


def test_a_residual_branch_is_cut_where_its_parts_are_joined():
    import keras

    taken = keras.Input((8,))
    inner = fixed(dense(8))(taken)
    whole = keras.Model(taken, dense(2)(inner + keras.ops.relu(inner)))
    prefix, rest = frozen_prefix(whole)
    np.testing.assert_array_equal(rest(prefix(ITEMS)), whole(ITEMS))
    assert len(prefix.layers) < len(whole.layers)


OWN = """
import keras


def build(data, frozen=True):
    raw = keras.Input(data.shape)
    preprocessing = keras.Model(raw, keras.layers.Rescaling(1 / 255)(raw))
    items = keras.Input(data.shape)
    features = keras.layers.Dense(16, "relu", trainable=not frozen)
    x = features(keras.layers.Flatten()(items))
    return preprocessing, keras.Model(items, keras.layers.Dense(2)(x))
"""


@pytest.fixture
def own_builder(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)  # the fits' pipeline folder is "."


def test_a_fit_with_a_frozen_part_gives_the_weights_of_the_whole_network(
    own_builder, fit, make_data, monkeypatch
):
    data = make_data(50, 10, [20, 30])
    result, epochs = fit("own:build", data)
    monkeypatch.setattr(
        "headrace.stages.fitting.data.frozen_prefix", lambda network: None
    )
    expected, expected_epochs = fit("own:build", make_data(50, 10, [20, 30]))
    for one, other in zip(result.model.weights, expected.model.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for one, other in zip(epochs, expected_epochs, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], abs=1e-5)


def test_a_fit_that_was_killed_resumes_without_the_frozen_part_in_its_checkpoints(
    own_builder, fit, tmp_path, monkeypatch
):
    whole, _ = fit("own:build")
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_after(patched, 5)
        fit("own:build", checkpoints=checkpoints(tmp_path))
    state = unpack(files(tmp_path)[-1].read_bytes())
    shapes = [array.shape for array in state.variables]
    assert (16, 2) in shapes  # of the head
    assert (16, 16) not in shapes  # of the frozen layer
    resumed, _ = fit("own:build", checkpoints=checkpoints(tmp_path))
    assert resumed.weights_digest == whole.weights_digest


def test_augmented_items_pass_through_the_whole_network(own_builder, fit):
    plain, _ = fit("own:build")
    result, _ = fit("own:build", augment={"crop": 0.3})
    assert plain.weights_digest != result.weights_digest
    before, after = (one.model.weights[0] for one in (plain, result))
    np.testing.assert_array_equal(before, after)  # frozen
