"""What a gate compared, as people read it."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.gates import in_words
from headrace.records import GateResult


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"passed": True, "value": 0.9253, "threshold": 0.88}, "0.9253 >= 0.88"),
        ({"passed": False, "value": 0.85, "threshold": 0.88}, "0.85 >= 0.88"),
        ({"passed": True, "value": 26.5, "threshold": 200}, "26.5 <= 200"),
        ({"passed": False, "value": 250, "threshold": 200}, "250 <= 200"),
        ({"passed": True, "value": 0.0, "threshold": 0.0}, "0 <= 0"),
        ({"passed": True, "value": 0.5, "threshold": 0.5}, "0.5 = 0.5"),
        ({"passed": False, "value": None, "threshold": 0.5}, ""),
    ],
)
def test_a_bound_is_shown_with_its_sign(fields: dict[str, Any], words: str) -> None:
    assert in_words(GateResult(name="a", **fields)) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((1.0, 0.0086, 1.0), "p(better) = 1 (at most 0.0086)"),
        ((2.077e-6, 0.05, 1.0), "p(worse) = 2.077e-06 (at least 0.05)"),
        ((-0.003, -0.005, 0.4), "lowest difference -0.003 > -0.005"),
    ],
)
def test_the_champions_gate_says_which_probability_it_compared(
    fields: tuple[float, float, float], words: str
) -> None:
    value, bound, p_value = fields
    gate = GateResult(
        name="champion",
        passed=False,
        value=value,
        threshold=bound,
        p_value=p_value,
        kind="champion",
    )
    assert in_words(gate) == words
