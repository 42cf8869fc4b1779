"""A fit that was cut off goes on, and ends with the same weights."""

import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.src.stages.fitting.conftest import ARGUMENTS

from headrace.errors import DependencyError
from headrace.pipeline import TrainingSpec
from headrace.stages.fitting import loop
from headrace.stages.fitting.checkpoints import Checkpoints, Position, State
from headrace.state.interrupts import interrupt_now
from headrace.state.store import Store

pytestmark = pytest.mark.system

ADAM = {"optimizer": "adam"}
GENTLY = {"learning_rate": 0.01}
MIXED = {"precision": "mixed_bfloat16"}
AUGMENTED = {"augment": {"flip": "both", "crop": 0.3, "colour": 0.2, "mixup": 0.4}}


class Killed(BaseException):
    """As if the process had been."""


def checkpoints(store, **spec):
    training = TrainingSpec.model_validate({"checkpoint_steps": 1} | spec)
    return Checkpoints(Store(str(store)), "abc", training)


def files(store):
    return sorted((store / "checkpoints" / "abc").glob("*.ckpt"))


def kill_after(monkeypatch, steps):
    """End the fit once so many steps are done and saved."""
    real = Checkpoints.save

    def save(self, state):
        real(self, state)
        if state.progress.total_steps >= steps:
            raise Killed

    monkeypatch.setattr(Checkpoints, "save", save)


def in_windows(monkeypatch, make):
    """Data that takes several windows an epoch."""
    monkeypatch.setattr("headrace.stages.fitting.execution.WINDOW_BYTES", 16 * 30)
    made = make(70, 10, [14, 20, 16, 20])
    return made


@pytest.mark.parametrize(
    ("builder", "changes", "steps", "windows"),
    [
        pytest.param("mlp", {}, 1, False, id="at once"),
        pytest.param("mlp", {}, 4, False, id="as an epoch ends"),
        pytest.param("mlp", {}, 7, True, id="in a later window"),
        pytest.param("mlp", ADAM, 5, True, id="adam"),
        pytest.param("cnn", GENTLY, 6, False, id="with averages and dropout"),
        pytest.param("cnn", GENTLY | AUGMENTED, 7, True, id="with augmentation"),
        pytest.param("cnn", GENTLY | MIXED, 3, False, id="in mixed precision"),
    ],
)
def test_a_killed_fit_ends_with_the_weights_of_one_that_was_not(
    fit, make_data, tmp_path, monkeypatch, builder, changes, steps, windows
):
    data = in_windows(monkeypatch, make_data) if windows else make_data(50)
    changes = {"epochs": 3, **changes}
    unbroken, told = fit(builder, data, **changes)
    with monkeypatch.context() as patch:
        kill_after(patch, steps)
        with pytest.raises(Killed):
            fit(builder, data, checkpoints(tmp_path), **changes)
    again = checkpoints(tmp_path)
    went_on, told_again = fit(builder, data, again, **changes)
    assert again.resumed is not None
    assert again.resumed.total_steps == steps
    assert went_on.weights_digest == unbroken.weights_digest
    assert went_on.best_epoch == unbroken.best_epoch
    for metrics in (*told, *told_again):
        del metrics["epoch_seconds"], metrics["epoch_cpu_seconds"]
    assert told_again == told


def test_a_fit_compiled_by_xla_goes_on_exactly(fit, tmp_path, monkeypatch, use_xla):
    use_xla()
    monkeypatch.setitem(ARGUMENTS, "mlp", {"hidden": [8], "dropout": 0.3})
    unbroken, _ = fit("mlp", epochs=3)
    with monkeypatch.context() as patch:
        kill_after(patch, 7)
        with pytest.raises(Killed):
            fit("mlp", checkpoints=checkpoints(tmp_path), epochs=3)
    went_on, _ = fit("mlp", checkpoints=checkpoints(tmp_path), epochs=3)
    assert went_on.execution.xla
    assert went_on.weights_digest == unbroken.weights_digest


def test_killed_again_and_again(fit, make_data, tmp_path, monkeypatch):
    unbroken, _ = fit(epochs=3)
    for steps in (2, 5, 9):
        with monkeypatch.context() as patch:
            kill_after(patch, steps)
            with pytest.raises(Killed):
                fit(epochs=3, checkpoints=checkpoints(tmp_path))
    went_on, _ = fit(epochs=3, checkpoints=checkpoints(tmp_path))
    assert went_on.weights_digest == unbroken.weights_digest


@pytest.mark.parametrize("steps", [3, 4])
def test_an_interrupted_fit_has_saved_what_it_did(fit, tmp_path, monkeypatch, steps):
    monkeypatch.setattr("headrace.stages.fitting.execution.STEPS_PER_CALL", 1)
    rarely = {"checkpoint_seconds": 0, "checkpoint_steps": 0}
    unbroken, _ = fit(epochs=3)

    def send(_, total_steps):
        if total_steps == steps - 1:
            signal.raise_signal(signal.SIGINT)
        return False

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "is_due", send)
        with pytest.raises(KeyboardInterrupt):
            fit(epochs=3, checkpoints=checkpoints(tmp_path, **rarely))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [int(file.stem) for file in files(tmp_path)] == [steps]
    again = checkpoints(tmp_path, **rarely)
    went_on, _ = fit(epochs=3, checkpoints=again)
    assert again.resumed is not None
    assert went_on.weights_digest == unbroken.weights_digest


def test_without_checkpoints_an_interrupt_ends_a_fit_as_well(fit):
    with pytest.raises(KeyboardInterrupt):
        fit(epochs=99, stop=lambda *_: signal.raise_signal(signal.SIGINT))


def test_a_fit_whose_lease_is_lost_ends_at_once_and_saves_nothing(fit, tmp_path):
    def lose(*_):
        assert interrupt_now(threading.main_thread())
        raise AssertionError("went on")

    rarely = {"checkpoint_seconds": 0, "checkpoint_steps": 0}
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoints=checkpoints(tmp_path, **rarely), stop=lose)
    assert files(tmp_path) == []


def test_checkpoints_change_nothing(fit, tmp_path):
    plain, _ = fit()
    saving, _ = fit(checkpoints=checkpoints(tmp_path, checkpoint_steps=3))
    assert saving.weights_digest == plain.weights_digest
    assert [int(file.stem) for file in files(tmp_path)] == [3, 6]


def state(steps, size=3):
    values = np.full(size, steps, np.float32)
    return State(Position(total_steps=steps), [values, np.arange(2)], [values])


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path, caplog, damage
):
    for steps in (5, 6):
        checkpoints(tmp_path).save(state(steps))
    newest = files(tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    left = {"cut": content[:-1], "flipped": content, "empty": b"", "other": b"x" * 99}
    newest.write_bytes(left[damage])
    again = checkpoints(tmp_path)
    found = again.load(state(0).variables, 1, {})
    assert found is not None
    assert found.progress == again.resumed == Position(total_steps=5)
    assert np.array_equal(found.variables[0], np.full(3, 5))
    assert newest.name in caplog.text


@pytest.mark.parametrize(("size", "weights"), [(4, 1), (3, 2)])
def test_a_checkpoint_of_another_network_is_passed_over(tmp_path, size, weights):
    checkpoints(tmp_path).save(state(5))
    again = checkpoints(tmp_path)
    assert again.load(state(0, size).variables, weights, {}) is None
    assert again.resumed is None


def test_a_checkpoint_that_was_computed_otherwise_is_passed_over(tmp_path, caplog):
    made = state(5)
    made.progress.made_on = {"threads": 1, "cpu": "a"}
    checkpoints(tmp_path).save(made)
    now = {"threads": 2, "cpu": "a"}
    assert checkpoints(tmp_path).load(made.variables, 1, now) is None
    assert "computed under other conditions (threads)" in caplog.text
    assert checkpoints(tmp_path).load(made.variables, 1, made.progress.made_on)


def test_on_another_number_of_threads_a_fit_begins_anew(fit, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, 2)
        with pytest.raises(Killed):
            fit(checkpoints=checkpoints(tmp_path))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    again = checkpoints(tmp_path)
    fit(checkpoints=again)
    assert again.resumed is None


def test_an_equal_training_may_clear_while_this_one_saves(tmp_path, monkeypatch):
    mine, other = checkpoints(tmp_path), checkpoints(tmp_path)
    real = Path.replace

    def cleared(self, target):
        other.clear()
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cleared)
        mine.save(state(5))
    assert not files(tmp_path)
    mine.save(state(6))
    assert [int(file.stem) for file in files(tmp_path)] == [6]


def test_with_all_checkpoints_damaged_it_begins_anew(fit, tmp_path):
    unbroken, _ = fit()
    fit(checkpoints=checkpoints(tmp_path))
    for file in files(tmp_path):
        file.write_bytes(b"")
    again, _ = fit(checkpoints=checkpoints(tmp_path))
    assert again.weights_digest == unbroken.weights_digest


def test_a_fit_that_was_done_is_not_done_again(fit, tmp_path, monkeypatch):
    done, told = fit(checkpoints=checkpoints(tmp_path))
    monkeypatch.setattr(loop.Loop, "_run_window", None)
    again, told_again = fit(checkpoints=checkpoints(tmp_path))
    assert again.weights_digest == done.weights_digest
    assert told_again == told


def test_only_the_two_newest_stay_and_none_after_clearing(fit, tmp_path):
    kept = checkpoints(tmp_path)
    fit(checkpoints=kept)
    assert [int(file.stem) for file in files(tmp_path)] == [7, 8]
    kept.clear()
    assert not files(tmp_path)
    assert kept.load([], 0, {}) is None


def test_by_time_they_are_written_as_often_as_asked_but_cost_little(
    tmp_path, monkeypatch
):
    now = [100.0]
    monkeypatch.setattr(
        "headrace.stages.fitting.checkpoints.time.monotonic", lambda: now[0]
    )
    timed = checkpoints(tmp_path, checkpoint_steps=0, checkpoint_seconds=10)
    now[0] += 9
    assert not timed.is_due(1)
    now[0] += 1
    assert timed.is_due(2)
    real = Store.write

    def slow(self, key, data):
        now[0] += 2
        return real(self, key, data)

    monkeypatch.setattr(Store, "write", slow)
    timed.save(State(Position(total_steps=2), [np.zeros(3)], []))
    now[0] += 90
    assert not timed.is_due(3)
    now[0] += 10
    assert timed.is_due(3)


def test_no_time_and_no_steps_means_none(tmp_path):
    never = checkpoints(tmp_path, checkpoint_steps=0, checkpoint_seconds=0)
    assert not any(never.is_due(step) for step in range(100))


def test_a_full_disk_is_told_as_such(fit, tmp_path, monkeypatch):
    import errno

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DependencyError, match="No space left"):
        fit(checkpoints=checkpoints(tmp_path))
