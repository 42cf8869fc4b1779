"""F1 of all tags and of each, and the error rates of what is decided by it."""

import numpy as np
import pytest

from headrace.gates import paired_numbers
from headrace.gates.champion import Challenge, Scored, champion_gate
from headrace.pipeline import EvaluationSpec, GateSpec
from headrace.tasks import task
from headrace.tasks.tagging.judge import f1_of_tags

TAGGING = task("tagging")
JUDGE, EXPLAINED = TAGGING.judge, TAGGING.explained
TRUE = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
GIVEN = [[0.9, 0.4, 0.1], [0.1, 0.2, 0.1], [0.8, 0.9, 0.2], [0.1, 0.1, 0.6]]
HALVES = np.full((4, 3), 0.5)
OUTPUTS = np.concatenate([GIVEN, HALVES], axis=1).astype(np.float32)


def test_the_score_is_twice_the_right_tags_of_those_given_and_true(data):
    assert JUDGE.judged(OUTPUTS, TRUE, data).scores.tolist() == [2, 0, 2, 2]
    assert JUDGE.judged(OUTPUTS, TRUE, data).weights.tolist() == [3, 0, 3, 2]
    unknown = np.full((4, 3), np.nan, np.float32)
    assert np.isnan(JUDGE.judged(OUTPUTS, unknown, data).scores).all()
    assert not JUDGE.judged(OUTPUTS, unknown, data).weights.any()
    lost = np.where(np.arange(6) == 1, np.nan, OUTPUTS).astype(np.float32)
    assert not JUDGE.judged(lost, TRUE, data).scores.any()


def test_metrics_of_all_tags_and_of_each(data):
    metrics, slices = JUDGE.judged(OUTPUTS, TRUE, data).metrics(EvaluationSpec())
    assert metrics["test_micro_f1"] == pytest.approx(6 / 8)
    assert metrics["test_macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert metrics["test_tag_f1_min"] == pytest.approx(2 / 3)
    assert metrics["test_right_answers"] == 0.5
    assert metrics["test_constant_f1"] == pytest.approx(0.5)
    a = slices["tag=a"]
    assert (a["rows"], a["recall"], a["precision"]) == (1, 1, 0.5)
    assert a["f1_low"] < a["f1"] < a["f1_high"]
    assert metrics["test_tag_f1_low_min"] == min(s["f1_low"] for s in slices.values())
    assert TAGGING.answers.highlights(metrics, slices)[0].startswith(
        "lowest F1: a 0.66"
    )


def test_rates_of_a_tag_compare_groups(data):
    recall = JUDGE.judged(OUTPUTS, TRUE, data).rate("tag=b/recall")
    assert recall.scores[recall.about].tolist() == [False, True]
    precision = JUDGE.judged(OUTPUTS, TRUE, data).rate("tag=a/precision")
    assert precision.scores[precision.about].tolist() == [True, False]
    assert JUDGE.judged(OUTPUTS, TRUE, data).rate("tag=x/recall") is None
    assert JUDGE.judged(OUTPUTS, TRUE, data).rate("class=a/recall") is None


def test_answers_are_the_tags_that_reach_their_thresholds(data):
    assert TAGGING.answers.answers(OUTPUTS, data) == [["a"], [], ["a", "b"], ["c"]]
    columns = TAGGING.answers.answer_columns(OUTPUTS, data)
    assert columns["tags"].to_pylist() == ['["a"]', "[]", '["a", "b"]', '["c"]']
    assert JUDGE.caption(OUTPUTS[1], TRUE[0], data) == "true a, b\nanswered no tag"
    assert JUDGE.judged(OUTPUTS, TRUE, data).badness == pytest.approx([0.6, 0, 0.8, 0])


def test_the_surest_tag_is_explained(data):
    chosen = EXPLAINED.chosen(OUTPUTS)
    assert [EXPLAINED.names(data)[n] for n in chosen] == ["a", "b", "b", "c"]
    numbers = EXPLAINED.numbers(OUTPUTS, chosen)
    assert numbers[0] == pytest.approx(np.log(9), rel=1e-5)
    assert EXPLAINED.words(OUTPUTS[2], data) == "a (80.0%), b (90.0%)"
    assert EXPLAINED.words(OUTPUTS[1], data) == "no tag"


@pytest.mark.system
@pytest.mark.parametrize("rows", [40, 200, 1000])
@pytest.mark.parametrize("f1", [0.6, 0.9])
def test_a_gate_on_the_lower_end_passes_a_tag_below_it_in_5_percent_at_most(rows, f1):
    """A gate at the true F1; the interval is of 95 %, so that 2.5 % are expected."""
    random, draws = np.random.default_rng(0), 4_000
    share = f1 / (2 - f1)  # of right ones, among the rows that have or get the tag
    kinds = [0.7, 0.3 * share, 0.15 * (1 - share), 0.15 * (1 - share)]
    drawn = random.choice(4, (rows, draws), p=kinds)
    _, low, high = f1_of_tags(drawn % 2 == 1, (drawn == 1) | (drawn == 2), 0.95)
    assert np.mean(low > f1) <= 0.05
    assert 0.93 <= np.mean((low <= f1) & (f1 <= high)) <= 0.98


# Chances to miss a tag and to add one, where three of ten are true: their F1 is 0.8.
CAREFUL, GENEROUS = (0.2, 0.06 / 0.7), (0.1, 0.105 / 0.7)


@pytest.mark.system
@pytest.mark.parametrize("other", [CAREFUL, GENEROUS])
def test_models_of_equal_f1_are_called_better_in_a_share_of_the_level(
    monkeypatch, other
):
    """Exact for models that are alike; here one also gives a tenth more tags."""
    monkeypatch.setattr(paired_numbers, "MOST_FLIPS", 999)
    monkeypatch.setattr(paired_numbers, "LEAST_FLIPS", 999)
    random, draws, every = np.random.default_rng(1), 1_000, np.ones(200, bool)
    gate, better = GateSpec.model_validate({"name": "champion", "threshold": 0.5}), 0
    for _ in range(draws):
        true = random.random((200, 6)) < 0.3
        sums = []
        for miss, add in (GENEROUS, other):
            chances = np.where(true, 1 - miss, add)
            given = random.random(true.shape) < chances
            sums.append((2.0 * (given & true).sum(1), (given * 1.0 + true).sum(1)))
        (own, size), (theirs, other_size) = sums
        scored = Scored(own, every, size), Scored(theirs, every, other_size)
        trial = Challenge(*scored, 1, every, ~every)
        _, metrics = champion_gate(gate, trial)
        better += metrics["champion_p_value"] < 0.05
    assert better / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)
