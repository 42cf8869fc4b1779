"""The sanity check, and the verdict on it."""

import numpy as np
import pytest
from scipy import stats

from headrace.explanations import METHODS, Explainer, Item, Verdict, verdict_of
from headrace.explanations.places import Map
from headrace.explanations.sanity import (
    check_sanity,
    likeness,
    other_weights,
    rank_correlation,
)
from headrace.explanations.verdict import sentences, verdicts_of

GOOD = {
    "gradients_random_weights": 0.02,
    "gradients_random_labels": -0.3,
    "gradients_other_seed": 0.7,
    "gradients_completeness_error": 0.002,
    "occlusion_random_weights": 0.1,
    "occlusion_random_labels": 0.05,
    "occlusion_other_seed": 0.5,
}


def test_the_rank_correlation_is_that_of_scipy():
    random = np.random.default_rng(0)
    for _ in range(20):
        one, other = random.integers(0, 6, (2, 30)).astype(float)  # with ties
        wanted = stats.spearmanr(one, other).statistic
        assert rank_correlation(one, other) == pytest.approx(wanted)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0


def test_only_places_that_hold_something_are_compared():
    ours = np.array([[1.0, 2, 3, 4, 100, -100]])
    theirs = np.array([[1.0, 2, 3, 4, -100, 100]])
    present = np.array([[True] * 4 + [False] * 2])
    assert likeness([Map(ours, present)], [Map(theirs, present)]) == 1
    few = present & (ours < 3)
    assert np.isnan(likeness([Map(ours, few)], [Map(theirs, few)]))


def test_a_network_has_its_own_weights_again(model):
    network = model.layers[-1]
    before = network.get_weights()
    with pytest.raises(RuntimeError, match="amid"):
        with other_weights(network, [np.zeros_like(w) for w in before]):
            assert not network.get_weights()[0].any()
            raise RuntimeError("amid")
    assert all(map(np.array_equal, before, network.get_weights()))


def test_equal_weights_are_wholly_alike_and_opposite_ones_wholly_unlike(
    model, images, pixels, weights
):
    network = model.layers[-1]
    own = network.get_weights()
    others = {"other_seed": own, "random_labels": [-w for w in own]}
    items = [Item.of(item, 0, images) for item in pixels]
    metrics = check_sanity(Explainer(model, images), items, others)
    for method in ("gradients", "occlusion"):
        assert metrics[f"{method}_other_seed"] == pytest.approx(1)
        assert metrics[f"{method}_random_labels"] == pytest.approx(-1)
        assert -1 < metrics[f"{method}_random_weights"] < 1
    assert metrics["gradients_completeness_error"] < 1e-4
    assert all(map(np.array_equal, own, network.get_weights()))


@pytest.mark.parametrize(
    ("method", "change", "status", "reason"),
    [
        ("gradients", {}, "passed", "0.02 for random weights, -0.30 for random labels"),
        ("occlusion", {}, "passed", "0.50 for another seed"),
        (
            "gradients",
            {"gradients_random_weights": 0.11},
            "failed",
            "too much like those of a model with random weights",
        ),
        (
            "occlusion",
            {"occlusion_random_labels": 0.99},
            "failed",
            "too much like those of a model with random labels",
        ),
        ("occlusion", {"occlusion_other_seed": 0.49}, "failed", "depend on the seed"),
        (
            "gradients",
            {"gradients_completeness_error": 0.02},
            "failed",
            "do not add up: the error of their sum is 2.00%",
        ),
        ("occlusion", {"occlusion_other_seed": None}, "unchecked", "not checked"),
    ],
)
def test_the_verdict_is_by_the_bounds(method, change, status, reason):
    verdict = verdict_of({**GOOD, **change}, method)
    assert verdict.status == status
    assert reason in verdict.reason


def test_a_page_says_which_methods_are_shown_and_why_one_is_not():
    verdicts = verdicts_of({**GOOD, "occlusion_random_weights": 0.4})
    shown, hidden = sentences(verdicts)
    assert shown.startswith("Integrated gradients passed the sanity check: ")
    assert hidden.startswith(
        "Not shown: maps by occlusion are too much like those of a"
    )
    verdict = Verdict(status="unchecked", reason="maps were not checked")
    both = sentences(dict.fromkeys(METHODS, verdict))
    assert both == ["Not shown: maps were not checked."]
