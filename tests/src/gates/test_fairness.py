"""When groups are called unfair, and how often that is wrong."""

import numpy as np
import pytest

from headrace.errors import SpecError
from headrace.gates.intervals import Groups
from headrace.gates.kinds import JudgedRows, check_gate, judge_gate
from headrace.gates.kinds import fairness as module
from headrace.gates.kinds.fairness import compare_groups, rows_of_groups
from headrace.pipeline import GateSpec
from headrace.tasks.forms import Rated


def right(**counts):
    """Rows of groups, of which the first ones are right: ``ann=(right, rows)``."""
    scores, groups = [], []
    for name, (some, rows) in counts.items():
        scores += [True] * some + [False] * (rows - some)
        groups += [name] * rows
    return np.array(scores), groups


def judged(rows, **arguments):
    gate = GateSpec.model_validate({"name": "fairness", "arguments": arguments})
    check_gate(gate)
    return judge_gate(gate, {}, rows)


def rows_of(**counts):
    scores, groups = right(**counts)
    return JudgedRows("accuracy", scores, None, groups)


def test_pairs_are_ordered_by_what_is_shown_of_them():
    found = compare_groups(*right(a=(980, 1000), b=(880, 1000), c=(24, 30)))
    first, second, third = found.pairs
    assert (first.higher, first.lower, first.rows) == ("a", "b", (1000, 1000))
    assert first.rates == (0.98, 0.88)
    assert (second.higher, second.lower) == ("a", "c")
    assert second.difference == pytest.approx(0.18)  # larger, and less sure
    assert (third.higher, third.lower) == ("b", "c")
    assert first.low > second.low > third.low
    assert (found.widest.higher, found.widest.lower) == ("a", "c")


def test_intervals_are_those_of_all_pairs_together():
    """Three pairs share the 5 %; two groups have it alone."""
    (two,) = compare_groups(*right(a=(90, 100), b=(80, 100))).pairs
    scores, groups = right(a=(90, 100), b=(80, 100), c=(85, 100))
    three = compare_groups(scores, groups).pairs[0]
    both = Groups.of(scores, {"a": np.arange(100), "b": np.arange(100, 200)})
    for pair, level in ((two, 0.05), (three, 0.05 / 3)):
        low, high = both.differences(level)
        assert (pair.higher, pair.lower) == ("a", "b")
        assert (pair.low, pair.high) == (low[0, 1], high[0, 1])


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [(0.05, "unfair"), (0.1, "not shown"), (0.2, "fair")],
)
def test_the_gap_decides(gap, verdict):
    found = compare_groups(*right(a=(970, 1000), b=(870, 1000)))
    assert found.verdict(gap) == verdict


def test_small_groups_cannot_be_told():
    found = compare_groups(*right(a=(29, 29), b=(100, 100)))
    assert found.verdict(0.0) == "cannot tell"
    assert (found.others, found.pairs) == ({"a": 29}, [])


def test_rows_without_a_group_are_not_compared():
    assert [*rows_of_groups(["", "a", "", "b", "a"])] == ["a", "b"]
    assert rows_of_groups(["", "a", "", "b", "a"])["a"].tolist() == [1, 4]
    assert rows_of_groups([]) == {}


def test_groups_beyond_the_most_are_named(monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    found = compare_groups(*right(a=(30, 40), b=(30, 50), c=(30, 60)))
    (pair,) = found.pairs
    assert ({pair.higher, pair.lower}, found.others) == ({"b", "c"}, {"a": 40})


@pytest.mark.parametrize("sizes", [[100] * 10, [30, 50, 80, 100, 150, 200, 300, 400]])
@pytest.mark.parametrize("share", [0.8, 0.95, 0.98])
def test_equal_groups_are_called_unfair_in_at_most_5_percent(sizes, share):
    """With a gap of 0, so that any difference that is shown is a false one."""
    random = np.random.default_rng(int(100 * share) + len(sizes))
    groups = [f"g{k}" for k, size in enumerate(sizes) for _ in range(size)]
    unfair = sum(
        compare_groups(random.random(len(groups)) < share, groups).verdict(0)
        == "unfair"
        for _ in range(200)
    )
    assert unfair <= 10


@pytest.mark.parametrize("sizes", [[50] * 10, [1000] * 9 + [30]])
def test_equal_groups_of_skewed_errors_are_called_unfair_in_at_most_5_percent(sizes):
    random = np.random.default_rng(7)
    groups = [f"g{k}" for k, size in enumerate(sizes) for _ in range(size)]
    unfair = sum(
        compare_groups(random.exponential(size=len(groups)), groups).verdict(0)
        == "unfair"
        for _ in range(100)
    )
    assert unfair <= 5


def test_an_unfair_gate_names_the_groups_their_rows_rates_and_interval():
    result = judged(rows_of(ann=(970, 1000), bob=(870, 1000), cy=(20, 20)), gap=0.05)
    assert not result.passed
    assert result.threshold == 0.05
    assert result.value == pytest.approx(0.07689, abs=5e-6)
    assert result.compared == f"{result.value:.4g} <= 0.05"
    assert result.reason == (
        "groups are not treated alike: accuracy is 0.97 for ann (n = 1,000) and 0.87 "
        "for bob (n = 1,000), a difference of 0.1 (0.07689 to 0.124 at 95%); not "
        "compared, with too few rows: cy (20)"
    )


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ({"gap": 0.1}, True),
        ({"gap": 0.1, "unproven": "fail"}, False),
        ({"gap": 0.2, "unproven": "fail"}, True),
        ({"gap": 0.05, "metric": "error"}, False),
    ],
)
def test_what_is_unproven_fails_only_where_the_gate_says_so(arguments, passed):
    rows = rows_of(a=(970, 1000), b=(870, 1000))
    assert judged(rows, **arguments).passed is passed


def test_one_small_group_fails_a_gate_that_asks_for_the_proof_of_all():
    for counts in ({"b": (970, 1000), "c": (9, 10)}, {"c": (9, 10)}):
        rows = rows_of(a=(970, 1000), **counts)
        assert judged(rows, gap=0.1).passed
        result = judged(rows, gap=0.1, unproven="fail")
        assert not result.passed
        assert "not compared, with too few rows: c (10)" in result.reason


def test_another_rate_is_of_the_rows_that_it_is_about():
    scores, groups = right(a=(100, 100), b=(100, 100))
    about = np.tile([True, False], 100)
    success = np.array([g == "a" for g in groups])
    rates = {"class=spam/recall": Rated(success, about)}
    rows = JudgedRows("accuracy", scores, None, groups, rates.get)
    result = judged(rows, gap=0.5, metric="class=spam/recall")
    assert not result.passed
    assert "class=spam/recall is 1 for a (n = 50) and 0 for b (n = 50)" in result.reason
    missing = judged(rows, gap=0.5, metric="class=ham/recall")
    assert not missing.passed
    assert missing.reason == "the task has no rate 'class=ham/recall' of its rows"


def test_numbers_and_ratios_are_compared_in_their_unit():
    random = np.random.default_rng(0)
    groups = ["a", "b"] * 300
    wrong = random.poisson(np.tile([1.0, 3.0], 300)).astype(float)
    words = np.full(600, 10.0)
    result = judged(JudgedRows("word_error_rate", wrong, words, groups), gap=0.1)
    assert not result.passed
    assert "word error rate is 0.3" in result.reason
    assert result.value is not None and 0.15 < result.value < 0.2
    assert judged(JudgedRows("error", wrong, None, groups), gap=2.5).passed


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (JudgedRows("accuracy", np.ones(99, bool), None, [""] * 99), "no groups"),
        (JudgedRows("error", np.full(99, np.nan), None, ["a"] * 99), "not finite"),
    ],
)
def test_nothing_to_compare_never_passes(rows, reason):
    result = judged(rows, gap=1)
    assert not result.passed
    assert reason in result.reason


def test_rows_that_are_not_known_never_pass():
    gate = GateSpec.model_validate({"name": "fairness", "arguments": {"gap": 1}})
    result = judge_gate(gate, {})
    assert (result.passed, result.reason) == (
        False,
        "the scores of the rows are not known",
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "has arguments.gap: Field required"),
        (
            {"arguments": {"gap": "0.1"}},
            "has arguments.gap: .*write 0.1 without quotes",
        ),
        ({"arguments": {"gap": 0.1, "least": 3}}, "has arguments.least: Extra inputs"),
    ],
)
def test_a_gate_whose_arguments_do_not_fit_is_refused(values, problem):
    gate = GateSpec.model_validate({"name": "fairness", **values})
    with pytest.raises(SpecError, match=problem):
        check_gate(gate)


def test_a_gate_of_that_name_with_a_metric_is_a_bound_as_before():
    plain = {"name": "fairness", "metric": "group=a/accuracy", "threshold": 0.9}
    assert GateSpec.model_validate(plain).kind == ""
    assert GateSpec.model_validate({"name": "fairness"}).kind == "fairness"


@pytest.mark.parametrize("place", ["scores", "weights"])
@pytest.mark.parametrize("value", [1e39, np.nan, np.inf])
def test_numbers_that_no_float32_holds_compare_no_groups(place, value):
    numbers = {"scores": np.repeat([0.1, 3.1], 100), "weights": np.ones(200)}
    numbers[place][7] = value
    groups = ["a"] * 100 + ["b"] * 100
    rows = JudgedRows("error", numbers["scores"], numbers["weights"], groups)
    gate = GateSpec(name="fairness", kind="fairness", arguments={"gap": 0.05})
    result = judge_gate(gate, {}, rows)
    assert not result.passed
    assert "are not finite" in result.reason
