"""Several devices give what one gives; what fails on a device is said in words."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.src.stages.fitting.conftest import data, recipe

from headrace.errors import Refusal, SpecError
from headrace.imports.backend import load_backend
from headrace.stages.fitting import Fit

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[4]
AUGMENTED = {"augment": {"flip": "both", "crop": 0.3, "colour": 0.2, "mixup": 0.4}}
UNEVEN = {"batch_size": 17, "epochs": 2}  # 17 rows on 2 and on 3 devices


def fits(cpus, *given):
    module = "tests.src.stages.fitting.several"
    done = subprocess.run(
        [sys.executable, "-m", module, str(cpus), json.dumps(given)],
        check=False,
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout.splitlines()[-1])
    return results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """All that is fitted, each number of devices in a process of its own."""
    place = str(tmp_path_factory.mktemp("checkpoints"))
    random = {"builder": "mlp-dropout", "recipe": UNEVEN | {"devices": 2}}
    named = {
        f"{builder} {optimizer} {devices}": {
            "builder": builder,
            "recipe": UNEVEN | {"devices": devices, "optimizer": optimizer},
        }
        for builder, optimizer in (("mlp", "sgd"), ("mlp", "adam"), ("cnn", "sgd"))
        for devices in (1, 2, 3)
    }
    named |= {
        f"augmented {devices}": {
            "builder": "mlp",
            "recipe": UNEVEN | AUGMENTED | {"devices": devices},
        }
        for devices in (1, 2, 3)
    }
    named |= {
        "random": random,
        "random again": random,
        "cut off": {**random, "stop": 1, "checkpoints": place},
        "gone on": {**random, "checkpoints": place},
        "too many": {"builder": "mlp", "recipe": {"devices": 4}},
        "too few rows": {"builder": "mlp", "recipe": {"devices": 3, "batch_size": 2}},
    }
    for name in ("cut off", "gone on"):
        named[name]["recipe"] = random["recipe"] | {"checkpoint_steps": 2}
    found = {}
    for cpus in (2, 3):
        here = {k: v for k, v in named.items() if cpus == min(3, max(2, devices_of(v)))}
        found |= dict(zip(here, fits(cpus, *here.values()), strict=True))
    return found


def devices_of(given):
    return int(given["recipe"]["devices"])


@pytest.mark.parametrize("devices", [2, 3])
@pytest.mark.parametrize("kind", ["mlp sgd", "mlp adam", "cnn sgd", "augmented"])
def test_several_devices_give_what_one_gives(results, kind, devices):
    one, several = results[f"{kind} 1"], results[f"{kind} {devices}"]
    assert np.allclose(one["weights"], several["weights"], rtol=0, atol=1e-5)
    for then, now in zip(one["epochs"], several["epochs"], strict=True):
        assert now == pytest.approx(then, abs=1e-5)
    assert one["config"] == several["config"]


def test_how_they_worked_together_is_recorded(results):
    one, two = (results[f"mlp sgd {n}"]["execution"] for n in (1, 2))
    assert (one["strategy"], one["devices"], one["replicas"]) == ("", "1 x cpu", 1)
    assert (two["strategy"], two["devices"], two["replicas"]) == (
        "MirroredStrategy",
        "2 x cpu",
        2,
    )
    assert one["batch_size"] == two["batch_size"] == 17


def test_each_device_drops_other_activations_and_a_repeat_the_same(results):
    first, again = results["random"], results["random again"]
    assert first["digest"] == again["digest"]
    assert first["seeds"]
    assert all(len({*seeds}) == 2 for seeds in first["seeds"])


def test_a_fit_on_several_devices_goes_on_exactly(results):
    assert len(results["cut off"]["epochs"]) == 1
    assert results["gone on"]["resumed"]
    assert results["gone on"]["digest"] == results["random"]["digest"]
    assert results["gone on"]["epochs"] == results["random"]["epochs"]


def test_more_devices_than_there_are_or_than_rows_are_refused(results):
    many, few = results["too many"], results["too few rows"]
    assert (many["error"], few["error"]) == ("SpecError", "SpecError")
    assert "training.devices is 4, but TensorFlow sees no GPU here" in many["says"]
    assert "A batch has 2 rows, but 3 devices are to share it" in few["says"]


def test_a_machine_without_gpus_says_so_when_asked_for_several():
    load_backend()
    with pytest.raises(SpecError, match=r"training\.devices is 2, but .* no GPU"):
        Fit(recipe(devices=2), Path(), "mlp", data())


def test_a_device_that_is_out_of_memory_says_what_to_lower(tmp_path):
    (tmp_path / "huge.py").write_text(
        "import keras\n"
        "def build(data, **_):\n"
        "    raw = keras.Input(data.shape)\n"
        "    pre = keras.Model(raw, keras.layers.Rescaling(1 / 255)(raw))\n"
        "    x = given = keras.Input(data.shape)\n"
        "    x = keras.layers.Flatten()(x)\n"
        "    x = keras.ops.max(keras.ops.tile(x, [1, 2**40]), axis=1, keepdims=True)\n"
        "    out = keras.layers.Dense(2, activation='softmax')(x)\n"
        "    return pre, keras.Model(given, out)\n"
    )
    load_backend()
    spec = recipe()
    huge = Fit(spec, tmp_path, "huge:build", data())
    with pytest.raises(Refusal, match=r"Out of memory in train, with .*16\. Lower"):
        huge.run(lambda _number, _metrics: None)


def test_a_fit_that_fails_leaves_the_network_as_it_was():
    import keras

    from headrace.stages.fitting.precision import whole_batches

    layer = keras.layers.BatchNormalization()
    network = keras.Sequential([keras.Input((2,)), layer])
    several = SimpleNamespace(num_replicas_in_sync=2)
    with pytest.raises(ValueError, match="bad"), whole_batches(several, network):
        assert layer.synchronized
        raise ValueError("bad")
    assert not layer.synchronized
