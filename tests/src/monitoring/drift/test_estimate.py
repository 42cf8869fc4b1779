"""Estimates are right where they are given, also for families that the ladder lacks."""

import dataclasses

import numpy as np
import pytest

from headrace.errors import InputError
from headrace.monitoring.drift.estimate import estimate, limit_of
from headrace.monitoring.drift.profile import ProfileFacts
from headrace.records import DataDescription

pytestmark = pytest.mark.system

WINDOW = np.arange(1000, 2000)
SHIFTS = ("shift right", "shift down")


@pytest.mark.parametrize(
    ("family", "level", "without"),
    [
        ("noise", 10, ("noise",)),
        ("noise", 25, ("noise",)),
        ("blur", 0.5, ("blur",)),
        ("shift right", 1, SHIFTS),
    ],
)
def test_mild_shifts_are_estimated(digits, profile, family, level, without):
    truth = digits.accuracy(family, level)
    for left_out in ((), without):
        found = estimate(
            profile, digits.window(WINDOW, family, level), without=left_out
        )

        assert found.value is not None
        assert abs(found.value - truth) <= 0.05
        assert found.low <= truth <= found.high
        assert found.reason == ""


@pytest.mark.parametrize(
    ("family", "level", "without"),
    [
        ("rotation", 20, ("rotation",)),
        ("shift right", 2, SHIFTS),
        ("shift down", -2, SHIFTS),
        ("inversion", 1, ("inversion",)),
    ],
)
def test_shifts_past_the_ladder_are_not(digits, profile, family, level, without):
    window = digits.window(WINDOW, family, level)
    for left_out in ((), without):
        found = estimate(profile, window, without=left_out)

        assert found.value is None
        assert "from the reference, and estimates hold up to" in found.reason
        assert found.reason.endswith(" (0 is alike, about 2 is the most)")
    found = estimate(profile, window)
    assert found.likely_drop
    assert found.resembles.startswith(family)


def test_rungs_that_lie_much_nearer_do_not_excuse_a_window(digits, profile):
    found = estimate(profile, digits.window(WINDOW, "inversion", 1))
    facts = profile.facts
    inverted, *others = sorted(facts.rungs, key=lambda rung: -rung.distance)

    assert found.resembles == f"{inverted.family} {inverted.level:g}" == "inversion 1"
    assert all(rung.distance < 0.8 * found.distance for rung in others)
    assert found.likely_loss == facts.score - inverted.score
    assert found.likely_drop


def test_darker_images_cost_nothing_and_are_not_said_to(digits, profile):
    found = estimate(profile, digits.window(WINDOW, "brightness", 0.8))

    assert not found.likely_drop
    assert found.resembles.startswith(("brightness", "contrast"))


@pytest.mark.parametrize(("family", "level"), [("noise", 25), ("shift right", 1)])
def test_the_error_of_the_rung_that_a_window_resembles_is_subtracted(
    digits, profile, family, level
):
    truth = digits.accuracy(family, level)
    found = estimate(profile, digits.window(WINDOW, family, level))
    facts = profile.facts
    (rung,) = (r for r in facts.rungs if f"{r.family} {r.level:g}" == found.resembles)
    error = rung.estimated - facts.estimated + facts.score - rung.score

    assert found.correction == pytest.approx(error)
    assert found.value is not None
    promised = found.value + found.correction
    assert abs(found.value - truth) < abs(promised - truth)


def test_the_limit_lies_below_the_first_rung_that_is_wrong(profile):
    limit = limit_of(profile.facts)
    facts = profile.facts
    errors = {
        rung.distance: abs(rung.estimated - facts.estimated + facts.score - rung.score)
        for rung in facts.rungs
    }

    assert max(error for at, error in errors.items() if at <= limit) <= 0.05
    assert errors[min(at for at in errors if at > limit)] > 0.05


def test_a_shadow_that_agrees_as_usual_narrows_nothing_and_is_named(digits, profile):
    window = digits.window(WINDOW)

    found = estimate(profile, window, shadow=profile, shadow_outputs=window.outputs)

    assert found.methods == ("confidence", "agreement")
    assert found.agreement == 1.0


def test_a_shadow_that_disagrees_forbids_an_estimate(digits, profile):
    window = digits.window(WINDOW)
    other = np.roll(window.outputs, 1, axis=1)

    found = estimate(profile, window, shadow=profile, shadow_outputs=other)

    assert found.value is None
    assert found.reason.startswith("the methods differ: confidence 0.8")
    with pytest.raises(InputError, match=r"outputs \(5, 10\)"):
        estimate(profile, window, shadow=profile, shadow_outputs=other[:5])


def test_few_items_are_not_estimated(digits, profile):
    found = estimate(profile, digits.window(WINDOW[:49]))

    assert (found.value, found.likely_drop) == (None, False)
    assert found.reason == "49 items are too few; 50 are needed"


def test_a_regression_has_no_estimate(profile):
    data = DataDescription(medium="image", shape=(28, 28, 1), task="regression")
    facts = profile.facts.model_dump() | {"description": data, "temperature": None}
    facts = ProfileFacts.model_validate(facts | {"estimated": None, "rungs": ()})
    numbers = np.linspace(0, 1, 1000, dtype=np.float32)[:, None]
    reference = dataclasses.replace(profile, facts=facts, outputs=numbers)

    found = estimate(
        reference, dataclasses.replace(_window(reference), outputs=numbers + 2)
    )

    assert found.value is None
    assert found.reason == "this task has no estimate without labels"
    assert found.distance == 1.0


def _window(profile):
    from headrace.monitoring.drift.windows import Window

    return Window(profile.columns, profile.outputs)
