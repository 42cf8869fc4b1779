"""Training on a GPU through TensorFlow: XLA, precision, exact resume, `reproduce`."""

import json

import pytest
from tests.gpu.conftest import environment_of
from tests.gpu.killing import Moment, run_until

from headrace.stages.fitting.precision import FLOAT32, MIXED

BUILDERS = {"mlp": 10, "cnn": 4}  # with their epochs


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def trained(request, tensorflow_device, tmp_path_factory):
    """A home with a run of `digits`, what it answered, and how to run it again."""
    epochs = BUILDERS[request.param]
    options = [f"model.builder={request.param}", f"training.epochs={epochs}"]
    command = ["run", "digits", "--json"]
    command += [word for option in options for word in ("--set", option)]
    home = tmp_path_factory.mktemp(request.param) / "home"
    answer = ran(command, home)
    assert answer["status"] in ("promoted", "registered"), answer["reason"]
    return tensorflow_device, home, answer, command


def ran(command, home):
    done = run_until(command, environment_of(HEADRACE_HOME=str(home)))
    assert done.exit_code in (0, 1), done.stderr[-3000:]
    return done.answer()


def execution(home):
    """How the last training of a home was computed."""
    (file,) = home.glob("store/pipelines/digits/train.json")
    return json.loads(file.read_text())["record"]["execution"]


def test_what_suits_the_device_is_used(trained):
    device, home, *_ = trained
    found = execution(home)
    assert found["device"] == device
    if device == "gpu":
        assert found["xla"] is True
        assert found["precision"] in (MIXED, FLOAT32)  # by the generation of the GPU
    else:
        assert found["precision"] == FLOAT32


def test_a_killed_training_goes_on_to_equal_weights(trained, tmp_path):
    _, _, answer, command = trained
    home = tmp_path / "home"
    kill = Moment(epochs=2, seconds=0.05)
    killed = run_until(command, environment_of(HEADRACE_HOME=str(home)), kill)
    assert killed.exit_code < 0
    resumed = ran(command, home)
    states = {stage["name"]: stage["state"] for stage in resumed["stages"]}
    assert states["train"] in ("resumed", "completed")
    assert resumed["weights_digest"] == answer["weights_digest"]


def test_the_run_is_reproduced(trained):
    _, home, answer, _ = trained
    again = ran(["reproduce", answer["run_id"], "--json"], home)
    assert again["status"] == "same"


def test_the_other_precision_learns_as_well(trained, tmp_path):
    _, home, answer, command = trained
    other = FLOAT32 if execution(home)["precision"] == MIXED else MIXED
    place = tmp_path / "home"
    again = ran([*command, "--set", f"training.precision={other}"], place)
    assert execution(place)["precision"] == other
    accuracies = [one["metrics"]["test_accuracy"] for one in (answer, again)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.03)
