"""Fits a network: the order of the rows, the steps, checkpoints, the weights' digest.

Knows nothing of MLflow. All that decides the resulting weights follows from the spec,
the data and the device; where a fit was cut off, it goes on at its last checkpoint and
ends with the same weights.
"""

from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import Data, Examples, open_data
from headrace.stages.fitting.execution import Execution, plan_execution
from headrace.stages.fitting.fit import Fit, Fitted, fit_model, weights_digest

__all__ = [
    "Checkpoints",
    "Data",
    "Examples",
    "Execution",
    "Fit",
    "Fitted",
    "fit_model",
    "open_data",
    "plan_execution",
    "weights_digest",
]
