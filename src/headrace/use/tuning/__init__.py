"""Searches the fields of a spec for the best values, trial by trial.

One process, one data set opened once, one MLflow run for each trial. Knows neither
pipelines' folders nor gates: what becomes of the best values is the train flow's.
"""

from headrace.use.tuning.report import trial_table
from headrace.use.tuning.space import Space, parse_search
from headrace.use.tuning.study import Study, Trial
from headrace.use.tuning.trials import search

__all__ = [
    "Space",
    "Study",
    "Trial",
    "parse_search",
    "search",
    "trial_table",
]
