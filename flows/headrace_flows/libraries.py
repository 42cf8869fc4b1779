"""The libraries that stages import at their first use, loaded while others work."""

from __future__ import annotations

import importlib

from headrace.stages.validation import suite
from headrace.state.tracking.connection import import_all

_OF_TRAINING_AND_EVALUATION = (
    "headrace.stages.training",
    "scipy.ndimage",
    "scipy.optimize",
)


def load_validation() -> None:
    """Load what the validation needs."""
    suite.load()
    import scipy.stats

    scipy.stats.ks_2samp  # noqa: B018 (Great Expectations has it loaded at first use)


def load_rest() -> None:
    """Load what training and evaluation need; it starts no thread."""
    import_all()
    for name in _OF_TRAINING_AND_EVALUATION:
        importlib.import_module(name)
