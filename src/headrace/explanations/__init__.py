"""Which pieces of an item speak for a model's answer, and whether that can be believed.

Two methods give each piece a signed number. Occlusion removes one piece at a time and
needs a model's answers only. Integrated gradients need its Keras network; they add up
to what the whole item changes. `sanity` compares their maps with those of models that
have learned something else, and `verdict` says whether maps of a version are shown.
"""

from headrace.explanations.items import Explainer, Item, why_not
from headrace.explanations.verdict import METHODS, Verdict, verdict_of

__all__ = ["METHODS", "Explainer", "Item", "Verdict", "verdict_of", "why_not"]
