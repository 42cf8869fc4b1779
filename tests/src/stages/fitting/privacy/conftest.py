"""Small private fits of dark and bright images."""

from pathlib import Path

import pytest

from headrace.imports.backend import load_backend
from headrace.pipeline import PipelineSpec
from headrace.stages.fitting import Fit

SECRET = "a secret of these tests, 32 characters and more"
DECLARED = {"source": "sample", "shape": [4, 4, 1], "classes": ["dark", "bright"]}


def private_spec(privacy=None, dropout=0.3, **changes):
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
def private_fit(make_data):
    """Fit the family mlp privately; gives the result and what each epoch reported."""
    load_backend()

    def fitted(
        privacy=None, on=None, checkpoints=None, secret=SECRET, builder="mlp", **changes
    ):
        epochs = []
        spec = private_spec(privacy, **changes)
        data = on or make_data(100)
        fit = Fit(spec, Path("."), builder, data, checkpoints, secret=secret)
        result = fit.run(lambda number, metrics: epochs.append(metrics))
        return result, epochs

    return fitted
