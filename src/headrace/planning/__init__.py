"""Which stages have work to do: a stage's key is all that its result depends on.

The key of a stage consists of its part of the spec, the digests of its input records
and its code. The store has results by key. So the same work is done once, an
interrupted run continues where it stopped, and every stage can report why it ran.
"""

from headrace.planning.finished import find_finished
from headrace.planning.plan import Plan
from headrace.planning.results import StageKey

__all__ = ["Plan", "StageKey", "find_finished"]
