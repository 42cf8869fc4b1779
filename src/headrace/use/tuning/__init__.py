"""Searches the fields of a spec for the best values, trial by trial.

One process opens the data set once and has one MLflow run for each trial. The train
flow, with its gates, decides what becomes of the best values.
"""

from headrace.use.tuning.space import Space, parse_search
from headrace.use.tuning.study import Study, Trial
from headrace.use.tuning.trials import search, trial_table

__all__ = [
    "Space",
    "Study",
    "Trial",
    "parse_search",
    "search",
    "trial_table",
]
