"""A model file that Keras cannot read is refused, whatever Keras raises."""

import json
import zipfile

import pytest
from tests import versions

from headrace.errors import IntegrityError
from headrace.models.logged.loading import open_model


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "model.keras"
    versions.model("image").save(path)
    return path


def wrapped_torch(layers):
    """Its class imports torch, or would unpickle."""
    layers["config"]["layers"][1] |= {
        "module": "keras.layers",
        "class_name": "TorchModuleWrapper",
        "config": {"module": "AAAA", "name": "torch"},
    }


def lost_layer(layers):
    layers["config"]["input_layers"] = [["nowhere", 0, 0]]


def endless_outputs(layers):
    layers["config"]["output_layers"] = "nowhere"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (wrapped_torch, "torch"),
        (lost_layer, "could not find layer nowhere"),
        (endless_outputs, "maximum recursion depth exceeded"),
    ],
)
def test_it_is_refused_with_a_sentence(sound, tmp_path, change, why):
    hostile = tmp_path / "model.keras"
    with zipfile.ZipFile(sound) as good, zipfile.ZipFile(hostile, "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            if name == "config.json":
                layers = json.loads(data)
                change(layers)
                data = json.dumps(layers).encode()
            bad.writestr(name, data)
    with pytest.raises(IntegrityError, match=f"models:/m-1 cannot be loaded: .*{why}"):
        open_model(hostile, "models:/m-1", versions.DESCRIPTIONS["image"])
