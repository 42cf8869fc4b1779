"""The gate on marks passes a model that needs one in at most 5 % of cases."""

import numpy as np
import pytest

from headrace.errors import SpecError
from headrace.gates.kinds import check_gate, judge_gate
from headrace.gates.kinds.shortcut import LEVEL, loss_bound, threshold_for
from headrace.gates.rows import JudgedRows, MarkedRows, RungRows, Shortcuts
from headrace.spec import GateSpec, PipelineSpec

GATE = GateSpec.model_validate({"name": "shortcut", "threshold": 0.1})


def rung(scores):
    return RungRows("", 0.0, np.asarray(scores), None, None)


def marked(before, after, label="cat"):
    return MarkedRows(label, rung(before), rung(after))


def judged(*classes, higher=True):
    found = Shortcuts(classes, higher)
    rows = JudgedRows("accuracy", np.ones(9, bool), None, [""] * 9, shortcuts=found)
    return judge_gate(GATE, {}, rows)


def right(count, rows):
    return np.arange(rows) < count


def test_a_model_that_needs_its_mark_is_refused():
    result = judged(marked(right(60, 60), right(0, 60)))
    assert (result.passed, result.value) == (False, 1.0)
    assert result.reason == (
        "accuracy on the 60 test rows of 'cat' is 1, and 0 without the mark that they "
        "have in common; at 95% the loss is at most 1"
    )


def test_the_bound_is_that_of_clopper_and_pearson():
    """With 1 of 60 rows lost, no more than 7.66 % are at a level of 5 %."""
    result = judged(marked(right(60, 60), right(59, 60)))
    assert result.passed
    assert result.value == pytest.approx(0.0766, abs=1e-4)
    assert result.compared == "0.07664 <= 0.1"


def test_the_worst_class_decides():
    kept = marked(right(60, 60), right(60, 60), "dog")
    lost = marked(right(60, 60), right(40, 60))
    for classes in ((kept, lost), (lost, kept)):
        result = judged(*classes)
        assert not result.passed
        assert "'cat'" in result.reason


def test_without_a_mark_it_passes_and_without_a_look_it_does_not():
    assert judged().passed
    assert judged().reason == "no mark gives a class away"
    rows = JudgedRows("accuracy", np.ones(9, bool), None, [""] * 9)
    result = judge_gate(GATE, {}, rows)
    assert (result.passed, "not looked for" in result.reason) == (False, True)


@pytest.mark.parametrize("huge", [1e39, np.nan, np.inf])
def test_a_score_that_is_not_finite_is_no_gain_without_the_mark(huge):
    before, after = np.full(60, 0.1), np.full(60, 0.1)
    before[0] = huge
    for one in (marked(before, after), marked(after, before)):
        result = judged(one, higher=False)
        assert (result.passed, result.value) == (False, None)


@pytest.mark.parametrize("rows", [0, 1])
def test_of_a_class_with_hardly_a_test_row_nothing_is_shown(rows):
    assert not judged(marked(right(rows, rows), right(rows, rows))).passed


def test_an_error_may_grow_by_the_threshold():
    errors = np.linspace(0.5, 1.5, 101)
    assert judged(marked(errors, errors + 0.09), higher=False).passed
    assert not judged(marked(errors, errors + 0.11), higher=False).passed


@pytest.mark.parametrize("fields", [{}, {"threshold": -0.1}, {"arguments": {"a": 1}}])
def test_its_fields_are_checked(fields):
    gate = GateSpec.model_validate({"name": "shortcut", **fields})
    with pytest.raises(SpecError, match="needs a threshold of 0 or more"):
        check_gate(gate)


def test_it_is_for_media_in_which_marks_are_looked_for():
    spec = {"name": "some", "medium": "text", "data": {"source": "x"}}
    with pytest.raises(SpecError, match="which the medium text does not"):
        check_gate(GATE, PipelineSpec.model_validate(spec))
    check_gate(GATE, PipelineSpec.model_validate(spec | {"medium": "image"}))


def passed_share(rows, lost, classes, seed):
    """How often models pass that lose a share of each class without its mark."""
    rng = np.random.default_rng(seed)
    trials = 1000
    known = {}

    def bound():
        before = rng.random(rows) < 0.95
        after = np.where(before, rng.random(rows) >= lost / 0.95, rng.random(rows) < 0)
        counts = int((before & ~after).sum()), int((after & ~before).sum())
        if counts not in known:
            one = marked(before, after)
            known[counts] = loss_bound(one, higher_is_better=True)
        return known[counts]

    return np.mean(
        [all(bound() <= 0.1 for _ in range(classes)) for _ in range(trials)]
    ).item()


@pytest.mark.parametrize("rows", [40, 100, 400])
@pytest.mark.parametrize("classes", [1, 3])
def test_a_model_that_loses_the_threshold_passes_in_5_percent_of_cases(rows, classes):
    """Of 1,000 trials, 71 would be three standard errors above 5 %."""
    assert (
        passed_share(rows, 0.1, classes, rows) <= LEVEL + 3 * (0.05 * 0.95 / 1e3) ** 0.5
    )


def test_a_model_that_does_without_passes_where_there_are_rows_enough():
    assert passed_share(100, 0.01, 1, 0) > 0.95


@pytest.mark.parametrize(
    ("rows", "threshold"), [(1, 1.0), (12, 0.34), (30, 0.15), (60, 0.1), (999, 0.1)]
)
def test_few_rows_get_a_threshold_that_they_can_show(rows, threshold):
    assert threshold_for(rows) == threshold
    if rows > 1:
        losing_one = marked(right(rows, rows), right(rows - 1, rows))
        assert loss_bound(losing_one, higher_is_better=True) <= threshold
