"""A kind of gate is checked before training, and its faults are its package's."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from headrace.errors import SpecError, UsageError
from headrace.gates.kinds import check_gate, judge_gate
from headrace.records import GateResult
from headrace.spec import GateSpec

Extend = Callable[..., str]
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


def spread(extend: Extend, judge: str = "pass") -> None:
    extend("gates", "spread", SPREAD.replace("JUDGE", judge))


def gate_of(kind: str = "spread", **values: Any) -> GateSpec:
    return GateSpec.model_validate({"name": "even", "kind": kind, **values})


def test_a_kind_refuses_a_gate_whose_arguments_do_not_fit(extend: Extend) -> None:
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
def test_a_module_without_a_kind_that_judges_is_refused(
    extend: Extend, code: str, problem: str
) -> None:
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
def test_a_kind_that_fails_names_its_package_and_line(
    extend: Extend, judge: str, problem: str
) -> None:
    spread(extend, judge)
    message = f"The gate kind spread (tidepool.spread) failed: {problem}"
    with pytest.raises(UsageError, match=re.escape(message)) as raised:
        judge_gate(gate_of(arguments={"most": 1}), {})
    assert raised.value.action == "Mend that package."
    assert raised.value.exit_code == 2


def test_a_ratio_is_held_against_its_bound() -> None:
    gate = gate_of("ratio", metric="low", threshold=0.9, arguments={"to": "all"})
    check_gate(gate)
    assert judge_gate(gate, {"low": 0.9, "all": 1.0}).passed
    assert not judge_gate(gate, {"low": 0.8, "all": 1.0}).passed
    assert not judge_gate(gate, {"low": math.nan, "all": 1.0}).passed
    assert judge_gate(gate, {"low": 1.0}).reason == "there is no metric all"


@pytest.mark.parametrize(
    "values",
    [{"arguments": {"to": "all"}}, {"threshold": 1}, {"arguments": {"too": "all"}}],
)
def test_a_ratio_without_a_bound_or_another_metric_is_refused(
    values: dict[str, Any],
) -> None:
    message = r"'even' of the kind ratio needs a threshold and the argument to"
    with pytest.raises(SpecError, match=message):
        check_gate(gate_of("ratio", **values))


def test_what_a_kind_compared_is_shown_without_a_sign_where_it_does_not_say() -> None:
    """As in records of older releases."""
    gate = GateResult(name="spread", passed=True, value=0.08, threshold=0.1)
    assert (gate.compared, gate.figures) == ("", "0.08, threshold 0.1")
    assert gate.model_copy(update={"compared": "0.08 <= 0.1"}).figures == "0.08 <= 0.1"
    assert gate.model_copy(update={"value": None}).figures == ""
