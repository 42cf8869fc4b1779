"""Fits a network: the order of the rows, the steps, checkpoints, the weights' digest.

The resulting weights depend on the spec, the data and the device alone. A fit that was
interrupted resumes from its last checkpoint and ends with the same weights. MLflow is
not used here.
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
