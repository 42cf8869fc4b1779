"""Which stages have work to do: a stage's key is all that its result depends on.

The key of a stage is made of its part of the spec, the digests of its input records
and the code that does it. Results are kept by key in the store, so the same work is
done once, a run that was cut off goes on where it stopped, and every stage can say
why it ran.
"""

from headrace.planning.finished import Finished, find_finished
from headrace.planning.keys import Key
from headrace.planning.plan import LastResults, Plan

__all__ = ["Finished", "Key", "LastResults", "Plan", "find_finished"]
