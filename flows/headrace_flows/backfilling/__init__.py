"""Runs of one pipeline over a range of dates, without those that are done.

`ranges` yields the dates, and `runs` stores the outcomes. A date is run by a process on
this machine (`here`) or, if the pipeline is deployed, by a worker (`there`).
"""

from headrace_flows.backfilling.ranges import Step, dates, fill_in
from headrace_flows.backfilling.runs import Backfill, Task

__all__ = ["Backfill", "Step", "Task", "dates", "fill_in"]
