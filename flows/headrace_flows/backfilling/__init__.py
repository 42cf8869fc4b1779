"""Runs of one pipeline over a range of dates, what is done among them left out.

`ranges` says which dates, `runs` keeps what is done; a date is run by a process `here`
or, where the pipeline is deployed, by a worker `there`.
"""

from headrace_flows.backfilling.ranges import Step, dates, fill_in
from headrace_flows.backfilling.runs import Backfill, Task

__all__ = ["Backfill", "Step", "Task", "dates", "fill_in"]
