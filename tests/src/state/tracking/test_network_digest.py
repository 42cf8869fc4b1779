"""The digest of a Keras file's layers: the same for each saving, not for others."""

import numpy as np
import pytest
from tests import versions

from headrace.imports.backend import load_backend
from headrace.stages.fitting import weights_digest
from headrace.state.tracking.artifacts import network_digest


def saved(path, scale=1.0, weights=None):
    """A model that is built anew and saved, and the digest of its layers."""
    load_backend()
    import keras

    keras.utils.clear_session()
    model = versions.model("text", scale)
    if weights is not None:  # drawn ones would follow from other threads' draws, too
        model.set_weights(weights)
    model.save(path)
    return model, network_digest(path)


@pytest.mark.system
def test_it_follows_from_the_layers_alone(tmp_path):
    first, digest = saved(tmp_path / "a.keras")
    weights = first.get_weights()
    again, same = saved(tmp_path / "b.keras", weights=weights)
    turned, other = saved(tmp_path / "c.keras", scale=-1, weights=weights)
    assert len({weights_digest(model) for model in (first, again, turned)}) == 1
    assert digest == same != other
    values = np.float32([[1.0]])
    for weight in first.weights:
        if weight.dtype.startswith("float"):
            weight.assign(np.ones(weight.shape, values.dtype))
    first.save(tmp_path / "d.keras")
    assert network_digest(tmp_path / "d.keras") == digest
