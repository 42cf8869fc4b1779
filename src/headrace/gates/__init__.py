"""Gates: what a model must satisfy to be promoted. A missing number never passes.

`absolute` holds one number against its bound. `champion` is the policy of the
comparison with the champion and the best former champion; `paired` has its statistics
for answers that are right or wrong, `numbers` for scores that are numbers.
"""

from headrace.gates.absolute import absolute_gate, serving_gate
from headrace.gates.champion import champion_gate, not_compared
from headrace.gates.trial import Opponent, Trial

__all__ = [
    "Opponent",
    "Trial",
    "absolute_gate",
    "champion_gate",
    "not_compared",
    "serving_gate",
]
