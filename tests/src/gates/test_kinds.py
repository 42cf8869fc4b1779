"""A kind of gate is checked before training, and its faults are its package's."""

import re

import numpy as np
import pytest

from headrace.errors import SpecError, UsageError
from headrace.gates.kinds import JudgedRows, check_gate, judge_gate
from headrace.pipeline import GateSpec
from headrace.records import GateResult

SPREAD = """
from headrace.errors import SpecError


class Spread:
    def check(self, gate):
        if "most" not in gate.arguments:
            raise SpecError(f"The gate {gate.name} needs arguments.most.")

    def judge(self, gate, metrics):
        JUDGE


KIND = Spread()
"""


def spread(extend, judge="pass"):
    extend("gates", "spread", SPREAD.replace("JUDGE", judge))


def gate_of(kind="spread", **values):
    return GateSpec.model_validate({"name": "even", "kind": kind, **values})


def test_a_kind_refuses_a_gate_whose_arguments_do_not_fit(extend):
    spread(extend)
    check_gate(gate_of(arguments={"most": 0.1}))
    with pytest.raises(SpecError, match=r"The gate even needs arguments\.most"):
        check_gate(gate_of(arguments={"moist": 0.1}))


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("x = 1", "has no attribute 'KIND'"),
        ("KIND = 1", "'int' object has no attribute 'judge'"),
        ("class KIND:\n    def judge(self, gate, metrics): ...", "missing a required"),
    ],
)
def test_a_module_without_a_kind_that_judges_is_refused(extend, code, problem):
    extend("gates", "spread", code)
    message = rf"The gate kind spread \(tidepool\.spread\) failed: .*{problem}"
    with pytest.raises(UsageError, match=message):
        check_gate(gate_of())


@pytest.mark.parametrize(
    ("judge", "problem"),
    [
        ("raise NotImplementedError", "NotImplementedError in line 11."),
        ("return True", "TypeError: judge returned True, and not a GateResult."),
    ],
)
def test_a_kind_that_fails_names_its_package_and_line(extend, judge, problem):
    spread(extend, judge)
    message = f"The gate kind spread (tidepool.spread) failed: {problem}"
    with pytest.raises(UsageError, match=re.escape(message)) as raised:
        judge_gate(gate_of(arguments={"most": 1}), {})
    assert raised.value.action == "Mend that package."
    assert raised.value.exit_code == 2


def test_what_a_kind_compared_is_shown_without_a_sign_where_it_does_not_say():
    gate = GateResult(name="spread", passed=True, value=0.08, threshold=0.1)
    assert (gate.compared, gate.figures) == ("", "0.08, threshold 0.1")
    assert gate.model_copy(update={"compared": "0.08 <= 0.1"}).figures == "0.08 <= 0.1"
    assert gate.model_copy(update={"value": None}).figures == ""


def test_a_kind_may_judge_the_rows(extend):
    judge = "return GateResult(name=gate.name, passed=rows.score == 'accuracy')"
    code = SPREAD.replace("judge(self, gate, metrics)", "judge_rows(self, gate, rows)")
    code = f"from headrace.records import GateResult\n{code.replace('JUDGE', judge)}"
    extend("gates", "spread", code)
    gate = gate_of(arguments={"most": 1})
    check_gate(gate)
    rows = JudgedRows("accuracy", np.ones(2, bool), None, [])
    assert judge_gate(gate, {}, rows).passed


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')"])
def test_a_kind_does_not_pass_with_a_value_that_is_not_finite(extend, value):
    judge = f"return GateResult(name=gate.name, passed=True, value={value})"
    code = f"from headrace.records import GateResult\n{SPREAD.replace('JUDGE', judge)}"
    extend("gates", "spread", code)
    result = judge_gate(gate_of(arguments={"most": 1}), {})
    assert not result.passed
    assert result.reason.startswith("its value is ")
