"""Small private fits of dark and bright images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.backend import load_backend
from headrace.records import Metrics
from headrace.spec import PipelineSpec
from headrace.stages.fitting import Fit, Fitted
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import Data

SECRET = "a secret of these tests, 32 characters and more"
DECLARED = {"source": "sample", "shape": [4, 4, 1], "classes": ["dark", "bright"]}

Fits = Callable[..., tuple[Fitted, list[Metrics]]]


def private_spec(
    privacy: dict[str, Any] | None = None, dropout: float = 0.3, **changes: Any
) -> PipelineSpec:
    training = {"epochs": 3, "batch_size": 16, "learning_rate": 0.05, "seed": 3}
    training["privacy"] = {"noise": 1.0} if privacy is None else privacy
    return PipelineSpec.model_validate(
        {
            "name": "blobs",
            "medium": "image",
            "data": DECLARED,
            "model": {"arguments": {"hidden": [8], "dropout": dropout}},
            "training": training | changes,
        }
    )


@pytest.fixture(scope="session")
def private_fit(make_data: Callable[..., Data]) -> Fits:
    """Fit the family mlp privately; gives the result and what each epoch reported."""
    load_backend()

    def fitted(
        privacy: dict[str, Any] | None = None,
        on: Data | None = None,
        checkpoints: Checkpoints | None = None,
        secret: str = SECRET,
        builder: str = "mlp",
        **changes: Any,
    ) -> tuple[Fitted, list[Metrics]]:
        epochs: list[Metrics] = []
        spec = private_spec(privacy, **changes)
        data = on or make_data(100)
        fit = Fit(spec, Path("."), builder, data, checkpoints, secret=secret)
        result = fit.run(lambda number, metrics: epochs.append(metrics))
        return result, epochs

    return fitted
