"""Gates: what a model must satisfy to be promoted. A missing number never passes.

`absolute` compares one number with its bound. `champion` is the policy of the
comparison with the champion and the best former champion. Its statistics are in
`paired` for answers that are right or wrong, and in `numbers` for scores.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.gates.absolute import absolute_gate, serving_gate
from headrace.gates.champion import Opponent, Trial, champion_gate, not_compared
from headrace.gates.kinds import check_gate, judge_by_kind
from headrace.records import GateResult
from headrace.spec import GateSpec

__all__ = [
    "Opponent",
    "Trial",
    "absolute_gate",
    "champion_gate",
    "check_gate",
    "judge_gate",
    "not_compared",
    "serving_gate",
]


def judge_gate(gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
    """Apply a gate: a bound on one metric, or the kind that it names.

    Raises:
        UsageError: the kind is of a package that is at fault.
    """
    if not gate.kind:
        return absolute_gate(gate, metrics)
    return judge_by_kind(gate, metrics)
