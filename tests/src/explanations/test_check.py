"""The check of explanations, and the verdict on it."""

import numpy as np
import pytest
from scipy import stats

from headrace.explanations import Item, verdict_of
from headrace.explanations.check import (
    MOST_ITEMS,
    check,
    checkable,
    rank_correlation,
)
from headrace.imports.backend import load_backend

GOOD = {
    "occlusion_random_weights": 0.02,
    "occlusion_random_weights_low": -0.05,
    "occlusion_top_fifth": 6.9,
    "occlusion_random_fifth": 1.4,
    "occlusion_p_value": 0.001,
}


@pytest.fixture
def items(images):
    """Twelve images with a black border."""
    drawn = np.zeros((12, 4, 4, 1), np.uint8)
    drawn[:, 1:3, 1:3] = np.random.default_rng(1).integers(50, 255, (12, 2, 2, 1))
    return [Item.of(item, 0, images) for item in drawn]


def test_the_rank_correlation_is_that_of_scipy():
    random = np.random.default_rng(0)
    for _ in range(20):
        one, other = random.integers(0, 6, (2, 30)).astype(float)  # with ties
        wanted = stats.spearmanr(one, other).statistic
        assert rank_correlation(one, other) == pytest.approx(wanted)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0


def test_items_with_few_pieces_are_left_out_and_few_items_are_none(items, images):
    blank = Item.of(np.zeros((4, 4, 1), np.uint8), 0, images)
    assert checkable([blank, *items]) == items
    assert checkable(items[:7]) == []
    assert len(checkable(items * 9)) == MOST_ITEMS


def test_four_hundred_pieces_are_checked_and_at_least_eight_items(images):
    random = np.random.default_rng(0)
    large = images.model_copy(update={"shape": (28, 28, 1)})
    drawn = random.integers(0, 255, (20, 28, 28, 1)).astype(np.uint8)
    assert len(checkable(Item.of(item, 0, large) for item in drawn)) == 8


def test_a_linear_model_passes_and_has_its_weights_again(model, items, images):
    preprocessing, network = model.layers[-2:]
    before = network.get_weights()

    def first(raw):
        asked.append(len(raw))
        return np.asarray(preprocessing(raw))

    asked: list[int] = []
    metrics, values = check(network, first, items, images)
    assert all(map(np.array_equal, before, network.get_weights()))
    assert asked[0] == 12 * 5  # once for all weights: an item, and without each piece
    low, high = (metrics[f"occlusion_random_weights_{end}"] for end in ("low", "high"))
    assert low < metrics["occlusion_random_weights"] < high
    assert metrics["occlusion_top_fifth"] > metrics["occlusion_random_fifth"]
    assert metrics["occlusion_p_value"] < 0.05
    assert len(values) == 12
    assert verdict_of(metrics).status == "passed"


def test_a_network_that_does_the_same_with_any_weights_fails(items, images):
    load_backend()
    import keras

    pixels = keras.Input((4, 4, 1))
    bright = keras.ops.sum(pixels, axis=(1, 2)) / 4000
    scaled = keras.layers.Dense(1, kernel_initializer="ones")(bright)
    share = bright + 1e-6 * scaled
    network = keras.Model(pixels, keras.ops.concatenate([share, 1 - share], axis=1))
    metrics, _ = check(network, lambda raw: raw.astype("float32"), items, images)
    assert metrics["occlusion_random_weights_low"] > 0.9
    verdict = verdict_of(metrics)
    assert verdict.status == "failed"
    assert "too much like those of random weights" in verdict.reason


def test_a_network_that_answers_always_the_same_fails(items, images):
    load_backend()
    import keras

    layers = [keras.Input((4, 4, 1)), keras.layers.Flatten()]
    last = keras.layers.Dense(2, "softmax", kernel_initializer="zeros")
    metrics, _ = check(
        keras.Sequential([*layers, last]),
        lambda raw: raw.astype("float32"),
        items,
        images,
    )
    assert verdict_of(metrics).status == "failed"
    assert metrics["occlusion_p_value"] == 1


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({}, "passed", "0.02 with random weights"),
        ({"occlusion_random_weights": 0.2}, "passed", "0.20 with random weights"),
        ({"occlusion_random_weights_low": 0.11}, "failed", "too much like those of"),
        ({"occlusion_p_value": 0.06}, "failed", "strongest pieces do not decide"),
        ({"occlusion_p_value": None}, "failed", "not finite"),
        ({"occlusion_random_weights": None}, "unchecked", "not checked"),
    ],
)
def test_the_verdict_is_by_the_bounds(change, status, reason):
    verdict = verdict_of({**GOOD, **change})
    assert verdict.status == status
    assert reason in verdict.reason
