"""Which pieces of an item speak for a model's answer, and whether that can be believed.

Pieces are removed one at a time, by `occlusion`, which needs a model's answers only.
`check` compares the values with those of random weights, removes the strongest pieces,
and says whether the explanations of a version are shown.
"""

from headrace.explanations.check import Verdict, verdict_of
from headrace.explanations.occlusion import Item, occlude, why_not

__all__ = ["Item", "Verdict", "occlude", "verdict_of", "why_not"]
