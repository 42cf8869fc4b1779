"""What is killed, restarted or stopped in mid training, and what comes of it."""

import json
import os
import subprocess
import sys

import pytest
from tests.waiting import until

pytestmark = pytest.mark.timeout(1200)

# Long enough to be met in the middle, with checkpoints from the first second on.
LONG = ("training.epochs=40", "training.checkpoint_seconds=1")
# The champion's gate decides which, once all of a run is done.
DONE = {"Promoted", "Registered"}


def training(seed):
    """What makes a run one that trains."""
    return (*LONG, f"training.seed={seed}")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights of the training on this machine, outside of containers."""
    place = tmp_path_factory.mktemp("host")
    said = [word for one in training(11) for word in ("--set", one)]
    done = subprocess.run(
        [sys.executable, "-m", "headrace_cli", "run", "digits", *said, "--json"],
        cwd=place,
        env={**os.environ, "HEADRACE_HOME": str(place / "home")},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)["weights_digest"]


def test_a_killed_worker_comes_back_and_its_run_goes_on_to_equal_weights(
    service, promoted, uninterrupted
):
    container = service.container("worker-cpu")
    run = service.trigger(*training(11))
    service.wait_for_epoch(8, run)

    def asked(field):
        return service.engine.docker(
            "inspect", "--format", f"{{{{.{field}}}}}", container
        )

    starts = int(asked("RestartCount"))
    service.engine.kill(asked("State.Pid"))
    until(lambda: int(asked("RestartCount")) == starts + 1, "it did not come back", 30)
    assert service.ended(run, 120) == "Crashed"

    again = service.trigger(*training(11))
    assert service.ended(again) in DONE
    assert service.went_on(again)
    assert uninterrupted in service.weights()


@pytest.mark.parametrize(
    ("name", "seed"), [("postgres", 21), ("objects", 22), ("prefect", 23)]
)
def test_a_run_outlives_the_restart_of_a_service(service, promoted, name, seed):
    run = service.trigger(*training(seed), "training.epochs=20")
    service.wait_for_epoch(3, run)
    service.compose("restart", name)
    assert service.ended(run) in DONE


def test_a_run_without_mlflow_fails_and_the_next_goes_on(service, promoted):
    run = service.trigger(*training(24))
    service.wait_for_epoch(3, run)
    service.compose("stop", "mlflow")
    assert service.ended(run) == "Failed"
    assert "MLflow at http://mlflow:5000 failed" in service.log()
    service.compose("up", "--wait")
    again = service.trigger(*training(24))
    assert service.ended(again) in DONE
    assert service.went_on(again)


def test_all_is_healthy_after_a_restart_of_the_engine(service, promoted):
    run = service.trigger(*training(31))
    service.wait_for_epoch(8, run)
    service.engine.stop()
    service.engine.start()
    service.compose("up", "--wait")
    assert service.ended(run, 120) == "Crashed"
    again = service.trigger(*training(31))
    assert service.ended(again) in DONE
    assert service.went_on(again)
