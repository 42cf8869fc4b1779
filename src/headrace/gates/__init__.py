"""Gates: what a model must satisfy to be promoted. A missing number never passes.

`absolute` holds one number against its bound. `champion` is the policy of the
comparison with the champion and the best former champion; `paired` has its statistics
for answers that are right or wrong, `numbers` for scores that are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.gates.absolute import absolute_gate, serving_gate
from headrace.gates.champion import champion_gate, not_compared
from headrace.gates.kinds import find_kind
from headrace.gates.trial import Opponent, Trial
from headrace.records import GateResult
from headrace.spec import GateSpec

__all__ = [
    "Opponent",
    "Trial",
    "absolute_gate",
    "champion_gate",
    "judge_gate",
    "not_compared",
    "serving_gate",
]


def judge_gate(gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
    """Hold a model against a bound, or by the kind of the gate.

    Raises:
        SpecError: there is no such kind.
    """
    if not gate.kind:
        return absolute_gate(gate, metrics)
    return find_kind(gate.kind).judge(gate, metrics)
