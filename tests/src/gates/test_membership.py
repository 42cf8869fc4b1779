"""The gate on membership inference holds the upper bound against its threshold."""

import numpy as np
import pytest

from headrace.errors import SpecError
from headrace.gates.kinds import check_gate, judge_gate
from headrace.gates.rows import JudgedRows, Membership
from headrace.pipeline import GateSpec


def judged(found, **values):
    gate = GateSpec.model_validate({"name": "membership", **values})
    check_gate(gate)
    rows = JudgedRows("accuracy", np.ones(2, bool), None, [], membership=found)
    return judge_gate(gate, {}, rows)


def test_the_upper_bound_is_held_against_the_threshold():
    found = Membership(0.594, 0.576, 0.611, 0.033, 3784, 1017)
    result = judged(found)
    assert (result.passed, result.value, result.threshold) == (True, 0.611, 0.62)
    assert result.compared == "0.611 <= 0.62"
    assert result.reason == (
        "given one row that the model learned from and one that it did not, an "
        "attacker tells which is which with a chance of 0.594 (0.576 to 0.611, from "
        "3,784 and 1,017 rows), and finds 3.3% of the former with 1% of false alarms"
    )
    assert not judged(found, threshold=0.6).passed


def test_few_rows_do_not_pass_for_want_of_evidence():
    assert not judged(Membership(0.5, 0.3, 0.7, None, 20, 20)).passed


def test_what_is_no_area_does_not_pass():
    assert not judged(Membership(0.5, 0.3, -1e308, None, 200, 200)).passed


def test_what_was_not_measured_fails_with_its_reason():
    result = judged("why")
    assert (result.passed, result.value) == (False, None)
    assert result.reason == "membership inference was not measured: why"


@pytest.mark.parametrize(
    "values", [{"threshold": 0.4}, {"threshold": 2}, {"arguments": {"most": 0.6}}]
)
def test_other_fields_are_refused(values):
    with pytest.raises(SpecError, match="takes a threshold from"):
        judged("", **values)
