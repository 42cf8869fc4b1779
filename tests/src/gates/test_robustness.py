"""The gate on a rung passes a model that does not keep its limit in 5 % of cases."""

import numpy as np
import pytest

from headrace.errors import SpecError
from headrace.gates.kinds import check_gate, judge_gate
from headrace.gates.kinds.robustness import drop_bound, score_bound
from headrace.gates.rows import JudgedRows, Robustness, RungRows
from headrace.pipeline import GateSpec

LEVEL = 0.05


def rung(scores, weights=None, level=25.0):
    return RungRows("noise", level, np.asarray(scores), weights, None)


def right(count, rows):
    return np.arange(rows) < count


def gate_of(**arguments):
    return GateSpec.model_validate({"name": "robustness", "arguments": arguments})


def judged(gate, after, before, higher=True):
    found = Robustness(before, [after, rung(after.scores, level=50)], higher)
    rows = JudgedRows(
        "accuracy", before.scores, None, [""] * len(before.scores), robustness=found
    )
    check_gate(gate)
    return judge_gate(gate, {}, rows)


def test_a_score_is_held_against_its_exact_bound():
    """With 18 of 20 right, the bound of Clopper and Pearson is 0.7174 (5 %)."""
    after, before = rung(right(18, 20)), rung(right(20, 20))
    result = judged(gate_of(rung="noise 25", score=0.71), after, before)
    assert result.passed
    assert result.value == pytest.approx(0.7174, abs=1e-4)
    assert result.compared == "0.7174 >= 0.71"
    assert result.reason == (
        "accuracy is 0.9000 on noise 25, and 1.0000 on the same 20 test rows as they "
        "are; at 95% the accuracy is at least 0.7174"
    )
    assert not judged(gate_of(rung="noise 25", score=0.72), after, before).passed


def test_a_drop_is_held_against_the_bound_of_pairs():
    after, before = rung(right(97, 100)), rung(right(99, 100))
    result = judged(gate_of(rung="noise 25", drop=0.08), after, before)
    assert result.passed
    # No more than 6.16 % of the rows are lost: 2 of 100, by Clopper and Pearson.
    assert result.value == pytest.approx(0.0616, abs=1e-4)
    assert "the loss is at most 0.06162" in result.reason
    assert not judged(gate_of(rung="noise 25", drop=0.05), after, before).passed


def test_an_error_must_not_be_above_its_limit():
    errors = np.linspace(0.5, 1.5, 101)
    gate = gate_of(rung="noise 25", score=1.1)
    result = judged(gate, rung(errors), rung(errors - 0.2), higher=False)
    assert result.passed
    assert result.value == pytest.approx(1 + 1.6602 * errors.std(ddof=1) / 101**0.5)
    assert "at most" in result.reason
    drop = gate_of(rung="noise 25", drop=0.21)
    assert judged(drop, rung(errors), rung(errors - 0.2), higher=False).passed
    drop = gate_of(rung="noise 25", drop=0.19)
    assert not judged(drop, rung(errors), rung(errors - 0.2), higher=False).passed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("noise 30", "there is no rung 'noise 30'; there are noise 25, noise 50"),
        ("hum 1", "there is no rung 'hum 1'; there are noise 25, noise 50"),
    ],
)
def test_an_unknown_rung_never_passes(name, message):
    result = judged(gate_of(rung=name, drop=1), rung(right(9, 9)), rung(right(9, 9)))
    assert (result.passed, result.reason) == (False, message)


def test_scores_that_are_not_finite_or_not_there_never_pass():
    broken = rung(np.array([0.1, np.nan, 0.2]))
    gate = gate_of(rung="noise 25", score=9)
    assert "not finite" in judged(gate, broken, broken, higher=False).reason
    for huge in (1e39, np.nan):
        clean, after = np.full(60, 0.1), np.full(60, 0.1)
        clean[0] = huge
        drop = gate_of(rung="noise 25", drop=0.05)
        for sides in ((rung(after), rung(clean)), (rung(clean), rung(after))):
            result = judged(drop, *sides, higher=False)
            assert (result.passed, result.value) == (False, None)
            assert "not finite" in result.reason
    single = rung(np.array([0.1]))
    assert not judged(gate, single, single, higher=False).passed
    nothing = JudgedRows("accuracy", np.ones(2, bool), None, [])
    result = judge_gate(gate, {}, nothing)
    assert (result.passed, result.value) == (False, None)
    assert result.reason == "no robustness ladder was measured: medium or task has none"


@pytest.mark.parametrize("size", [1e39, -1e39, 1e308, -1e308, np.nan, np.inf, -1.0])
@pytest.mark.parametrize("limit", ["drop", "score"])
def test_weights_that_are_no_sizes_never_pass(size, limit):
    errors, weights = np.full(60, 0.9), np.ones(60)
    other = weights.copy()
    other[0] = size
    gate = gate_of(rung="noise 25", **{limit: 2.0})
    assert judged(gate, *[rung(errors, weights)] * 2, higher=False).passed
    result = judged(gate, rung(errors, other), rung(errors, weights), higher=False)
    assert (result.passed, result.value) == (False, None)
    assert "there is no bound for noise 25" in result.reason
    nothing = rung(errors, np.zeros(60))
    assert not judged(gate, nothing, nothing, higher=False).passed


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"arguments": {"rung": "noise 25"}}, "one of score and drop is needed"),
        ({"arguments": {"rung": "x", "score": 1, "drop": 1}}, "and not both"),
        ({"arguments": {"drop": 0.1}}, "arguments.rung: Field required"),
        (
            {"arguments": {"rung": "5", "drop": "0.1"}},
            "arguments.drop: .*write 0.1 without quotes",
        ),
        ({"arguments": {"rung": "x", "drop": -1}}, "arguments.drop: Input should be"),
        ({"threshold": 0.1}, "it has threshold = 0.1, and takes none"),
    ],
)
def test_other_arguments_are_refused(values, message):
    gate = GateSpec.model_validate({"name": "robustness", **values})
    with pytest.raises(SpecError, match=message):
        check_gate(gate)


@pytest.mark.parametrize("rows", [50, 200, 500])
@pytest.mark.parametrize("limit", [0.7, 0.9, 0.97])
def test_a_model_at_the_limit_passes_in_at_most_5_percent(rows, limit):
    """Enumerated over all numbers of right answers."""
    from scipy.stats import binom

    counts = np.arange(rows + 1)
    bounds = [
        score_bound(rung(right(n, rows)), LEVEL, higher_is_better=True) for n in counts
    ]
    passed = counts[np.array(bounds) >= limit]
    assert binom.pmf(passed, rows, limit).sum() <= LEVEL


@pytest.mark.parametrize("rows", [100, 500])
@pytest.mark.parametrize(("drop", "gained"), [(0.02, 0.03), (0.05, 0.0), (0.1, 0.03)])
def test_a_model_that_loses_as_much_as_the_limit_passes_in_about_5_percent(
    rows, drop, gained
):
    random, draws = np.random.default_rng(0), 2000
    shares = [drop + gained, gained, 1 - drop - 2 * gained]
    passed = 0
    for lost, won, _ in random.multinomial(rows, shares, draws).tolist():
        before, after = np.ones(rows, bool), np.ones(rows, bool)
        after[:lost] = False
        before[lost : lost + won] = False
        bound = drop_bound(rung(after), rung(before), LEVEL, higher_is_better=True)
        passed += bound <= drop
    assert passed / draws <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / draws) ** 0.5


@pytest.mark.parametrize(
    ("name", "most"), [("normal", 0.065), ("exponential", 0.09), ("lognormal", 0.125)]
)
def test_skewed_errors_pass_more_often_and_how_often(name, most):
    """Errors that are rarely large look certain where no large one was drawn."""
    random, draws, rows = np.random.default_rng(0), 2000, 200
    draw = {
        "normal": lambda: np.abs(random.normal(size=rows)),
        "exponential": lambda: random.exponential(size=rows),
        "lognormal": lambda: random.lognormal(size=rows),
    }[name]
    mean = {"normal": (2 / np.pi) ** 0.5, "exponential": 1, "lognormal": np.exp(0.5)}
    bounds = [
        score_bound(rung(draw()), LEVEL, higher_is_better=False) for _ in range(draws)
    ]
    assert np.mean(np.array(bounds) <= mean[name]) <= most


def test_a_word_error_rate_passes_in_about_5_percent():
    random, draws, passed = np.random.default_rng(0), 1000, 0
    for _ in range(draws):
        words = random.integers(2, 9, 200).astype(float)
        edits = random.binomial(words.astype(int), 0.1).astype(float)
        bound = score_bound(rung(edits, words), LEVEL, higher_is_better=False)
        passed += bound <= 0.1
    assert passed / draws <= 0.08
