"""``headrace tune``: trials, the best of them through the gates, and going on."""

import contextlib
import json
import signal
import sqlite3
import time
from typing import Any

import psutil
import pytest

from headrace.display.signs import as_score
from headrace.pipeline import load_spec
from headrace.settings import Settings
from headrace.state.tracking import Tracking

Answer = Any
Home = Any

RATE = "training.learning_rate=log(0.01,0.2)"
SEARCH = ("tune", "blobs", "--trials", "3", "--set", RATE, "--json")


def runs_of(home):
    """All MLflow runs of a home."""
    client = Tracking(Settings(project=home.project, home=home.path)).client
    experiments = [e.experiment_id for e in client.search_experiments()]
    return list(client.search_runs(experiments))


def trials_of(home):
    """The trials that the home has kept, of its one study."""
    place = home.path / "tuning.db"
    with contextlib.suppress(sqlite3.OperationalError):
        with contextlib.closing(
            sqlite3.connect(f"file:{place}?mode=ro", uri=True)
        ) as db:
            rows = db.execute(
                "select number, value_json from trials "
                "join trial_user_attributes using (trial_id) where state != 'RUNNING' "
                "order by number"
            )
            return [{"number": n + 1, **json.loads(value)} for n, value in rows]
    return []


def wait_for_trials(home, process, count):
    """Wait until a process has ended so many trials."""
    limit = time.monotonic() + 600
    while time.monotonic() < limit and process.poll() is None:
        if len(trials_of(home)) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.fixture(scope="session")
def tuned(first, prefect_server, copy_of, tmp_path_factory):
    """A home after its first search."""
    home = type(first[0])(
        copy_of(first[0].path, tmp_path_factory.mktemp("tuned") / "home"),
        first[0].project,
    )
    return home, home.headrace(*SEARCH)


def test_the_best_trial_goes_through_the_gates(tuned):
    home, answer = tuned
    assert answer.exit_code == 0, answer.err
    found = answer.json
    assert found["pipeline"] == "blobs"
    assert found["metric"] == "val_loss"
    assert [trial["number"] for trial in found["trials"]] == [1, 2, 3]
    assert found["trials"][0]["overrides"] == {"training.learning_rate": 0.05}
    values = [trial["value"] for trial in found["trials"]]
    best = found["trials"][values.index(min(values))]
    assert found["best"] == {k: best[k] for k in ("number", "value", "overrides")}
    run = found["run"]
    assert found["status"] == run["status"]
    assert {stage["name"]: stage["state"] for stage in run["stages"]}["train"] in {
        *("completed", "cached")
    }
    client = Tracking(Settings(project=home.project, home=home.path)).client
    refitted = client.get_run(run["run_id"])
    rate = best["overrides"]["training.learning_rate"]
    assert refitted.data.params["training.learning_rate"] == str(rate)
    losses = client.get_metric_history(run["run_id"], "val_loss")
    assert min(point.value for point in losses) == best["value"]


def test_ingest_and_validate_are_those_of_the_run_before(tuned):
    states = {s["name"]: s["state"] for s in tuned[1].json["run"]["stages"]}
    assert states["ingest"] == states["validate"] == "cached"


def test_nothing_is_left_running(tuned):
    runs = runs_of(tuned[0])
    assert {run.info.status for run in runs} == {"FINISHED"}
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(children) == 3
    parents = {run.data.tags["mlflow.parentRunId"] for run in children}
    (parent,) = (run for run in runs if run.info.run_id in parents)
    assert parent.info.run_name.startswith("tune-")
    assert parent.data.tags["mlflow.headrace.flow_run_id"]


def test_the_same_command_again_trains_nothing(tuned):
    home, before = tuned
    count = len(runs_of(home))
    again = home.headrace(*SEARCH)
    assert again.exit_code == 0
    assert again.json["status"] == "unchanged"
    assert again.json["trials"] == before.json["trials"]
    assert again.json["best"] == before.json["best"]
    assert {stage["state"] for stage in again.json["run"]["stages"]} == {"cached"}
    assert len(runs_of(home)) == count


def test_the_best_values_given_to_run_are_the_same_training(tuned):
    home, answer = tuned
    rate = answer.json["best"]["overrides"]["training.learning_rate"]
    given = home.headrace(
        "run", "blobs", "--set", f"training.learning_rate={rate}", "--json"
    )
    assert given.exit_code == 0
    assert given.json["weights_digest"] == answer.json["run"]["weights_digest"]
    assert given.json["run_id"] == answer.json["run"]["run_id"]


def comparable(answer):
    """What of an answer must not depend on how many trials run at once."""
    trials = [
        {k: v for k, v in trial.items() if k not in ("seconds", "run_id")}
        for trial in answer.json["trials"]
    ]
    return trials, answer.json["best"], answer.json["run"]["weights_digest"]


def test_two_at_once_give_what_one_after_the_other_gives(
    tuned, after_first, prefect_server
):
    answer = after_first.headrace(*SEARCH, "--workers", "2")
    assert answer.exit_code == 0, answer.err
    assert comparable(answer) == comparable(tuned[1])
    assert "tune: 2 trials at once in processes of this machine" in answer.err
    for number in (1, 2, 3):
        assert f"done: trial {number}  training.learning_rate=" in answer.err
    runs = runs_of(after_first)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len([run for run in runs if "mlflow.parentRunId" in run.data.tags]) == 3


def test_people_see_the_best_trials_and_the_run(tuned):
    home, answer = tuned
    told = home.headrace(*SEARCH[:-1])
    assert "3 trials: 3 completed" in told.out
    assert "training.learning_rate" in told.out
    assert as_score(answer.json["best"]["value"]) in told.out
    assert "test accuracy" in told.out


def test_the_flow_runs_from_its_parameters_alone(tuned, monkeypatch):
    from headrace_flows.tune import tune

    home, _ = tuned
    home.enter(monkeypatch)
    folder = home.project / "pipelines" / "blobs"
    source = f"data.source={str(folder / 'blobs.npz')!r}"
    count = len(runs_of(home))
    state = tune(load_spec(folder, (source,)), [RATE], trials=3, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Registered")
    assert "champion kept" in state.message
    assert len(runs_of(home)) == count


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((), "UsageError", 'Give one: --set "training.learning_rate=log(1e-4,1)"'),
        (("--set", "training.learning_rat=log(1,2)"), "SpecError", "Did you mean"),
        (("--set", RATE, "--trials", "0"), "UsageError", "--trials"),
        (("--set", RATE, "--metric", "loss"), "UsageError", "--metric"),
        (("--set", RATE, "--workers", "0"), "UsageError", "--workers"),
        (("--set", RATE, "--workers", "-1"), "UsageError", "--workers"),
        (("--set", RATE, "--wave", "0"), "UsageError", "--wave"),
    ],
)
def test_a_wrong_search_is_a_usage_error_before_anything_runs(
    home, arguments, kind, message
):
    answer = home.headrace("tune", "blobs", *arguments, "--json")
    assert answer.exit_code == 2
    assert answer.json["error"]["kind"] == kind
    assert message in answer.json["reason"]
    assert not home.path.exists()


def test_a_dask_scheduler_that_is_away_ends_it_before_the_data(home, monkeypatch):
    dask = pytest.importorskip("dask")
    pytest.importorskip("distributed")
    monkeypatch.setenv("HEADRACE_DASK_ADDRESS", "tcp://127.0.0.1:9")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}):
        answer = home.headrace(*SEARCH, "--workers", "2")
    assert answer.exit_code == 3
    assert answer.json["error"]["kind"] == "DependencyError"
    assert "scheduler tcp://127.0.0.1:9 does not answer" in answer.json["reason"]


def test_data_that_is_refused_ends_it_before_the_trials(prefect_server, home, tmp_path):
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 no archive")
    answer = home.headrace(*SEARCH, "--data", str(tmp_path / "data.npz"))
    assert answer.exit_code == 1
    found = answer.json
    assert (found["status"], found["best"], found["trials"]) == ("refused", None, [])
    assert found["run"]["stages"][0]["state"] == "failed"


@pytest.mark.integration
@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_a_search_that_was_killed_goes_on(after_first, prefect_server, tuned, workers):
    arguments = [*SEARCH, "--trials", "5", *workers]
    process = after_first.start(*arguments)
    wait_for_trials(after_first, process, 2)
    everything = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in everything:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    process.communicate()
    kept = trials_of(after_first)
    assert len(kept) < 5
    again = after_first.headrace(*arguments)
    assert again.exit_code == 0, again.err
    found = again.json["trials"]
    assert len(found) == 5
    by_number = {trial["number"]: trial["run_id"] for trial in found}
    assert [by_number[t["number"]] for t in kept] == [t["run_id"] for t in kept]
    first_three = [trial["overrides"] for trial in tuned[1].json["trials"]]
    assert [trial["overrides"] for trial in found[:3]] == first_three
    runs = runs_of(after_first)
    assert "RUNNING" not in {run.info.status for run in runs}
    children = {r.info.run_id: r for r in runs if "mlflow.parentRunId" in r.data.tags}
    for trial in found:
        assert children.pop(trial["run_id"]).info.status == "FINISHED"
    assert len(children) <= (2 if workers else 1)
    assert {run.info.status for run in children.values()} <= {"KILLED"}


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_ctrl_c_ends_it_and_keeps_what_there_is(after_first, workers):
    process = after_first.start(*SEARCH, "--trials", "200", *workers)
    wait_for_trials(after_first, process, 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    found = json.loads(out)
    assert found["status"] == "cancelled"
    assert 1 <= len(found["trials"]) < 200
    assert found["trials"] == [] or found["best"] is not None
    assert len(trials_of(after_first)) == len(found["trials"])
    assert "RUNNING" not in {run.info.status for run in runs_of(after_first)}
