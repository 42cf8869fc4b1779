"""``headrace run`` that is refused or cannot go on: what it says and what it spares."""

import numpy as np
import pytest
from tests.homes import STAGES, mlflow_runs, states


def test_a_gate_that_fails_refuses_and_keeps_the_evidence(
    after_first, prefect_server, tmp_path
):
    gates = "[{ name = 'accuracy', threshold = 1.1 }, { name = 'champion' }]"
    after_first = after_first.with_law(tmp_path / "project", gates=gates)
    said = ("--set", "training.seed=3", "--json")
    answer = after_first.headrace("run", "blobs", *said)
    found = answer.json
    assert answer.exit_code == 1
    assert (found["status"], found["version"]) == ("refused", 2)
    assert "at least 1.1 is needed" in found["reason"]
    (warning,) = [one for one in found["warnings"] if one["check"] == "gates"]
    assert "has the threshold 1.1: test_accuracy is a share" in warning["message"]
    assert found["aliases"] == []
    rows = after_first.headrace("list", "--json").json["pipelines"]
    [row] = (row for row in rows if row["name"] == "blobs")
    refused = {"reason": found["reason"], "run_id": found["run_id"]}
    assert (row["run"], row["refused"]) == (found["flow_run_id"], refused)
    promoted = after_first.headrace("promote", "blobs", "2", "--json")
    assert promoted.exit_code == 1
    assert promoted.json["error"]["kind"] == "PromotionError"
    assert "did not pass its gates: accuracy" in promoted.json["reason"]
    again = after_first.headrace("run", "blobs", *said)
    assert (again.exit_code, again.json["status"]) == (1, "refused")
    assert set(states(again.json).values()) == {"cached"}


def test_a_family_that_there_is_not_is_named_also_where_the_data_is_known(after_first):
    answer = after_first.headrace("run", "blobs", "--set", "model.builder=mpl")
    assert answer.exit_code == 2
    assert "model.builder = 'mpl': there is no such model family." in answer.err
    assert "Did you mean mlp?" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("fault", ["cut short", "one class in test"])
def test_bad_data_is_refused_before_any_training(
    home, prefect_server, project, tmp_path, fault
):
    place, good = tmp_path / "bad.npz", project / "pipelines" / "blobs" / "blobs.npz"
    if fault == "cut short":
        place.write_bytes(good.read_bytes()[:-300])
    else:
        with np.load(good) as arrays:
            changed = dict(arrays)
        changed["x_test"] = changed["x_test"][changed["y_test"] != 1]
        changed["y_test"] = changed["y_test"][changed["y_test"] != 1]
        np.savez(place, **changed)
    answer = home.headrace("run", "blobs", "--data", str(place), "--json")
    found = answer.json
    assert answer.exit_code == 1
    assert (found["status"], found["version"], found["run_id"]) == (
        "refused",
        None,
        None,
    )
    assert str(place) in found["reason"]
    stage = "ingest" if fault == "cut short" else "validate"
    rows = home.headrace("list", "--json").json["pipelines"]
    [listed] = (row for row in rows if row["name"] == "blobs")
    began = stage == "validate"  # the other one ended before it had the lease
    assert (listed["versions"], listed["last_run"] is not None) == (0, began)
    assert (listed["refused"] is not None) == began
    assert (" refused\n" in home.headrace("list").out) == began
    done = states(found)
    assert done[stage] == "failed"
    assert [name for name, state in done.items() if state == "skipped"] == (
        STAGES[STAGES.index(stage) + 1 :]
    )
    kind = "SourceError" if fault == "cut short" else "ContractError"
    assert found["error"]["kind"] == kind
    assert (found["flow_run_id"] is None) == (fault == "cut short"), "told at once"
    assert mlflow_runs(home) == []


def test_a_refusal_is_printed_once(home, prefect_server, tmp_path):
    place = tmp_path / "bad.npz"
    place.write_bytes(b"nothing known")
    answer = home.headrace("run", "blobs", "--data", str(place))
    assert answer.exit_code == 1
    assert (answer.out + answer.err).count("is of no known format") == 1, answer.out


@pytest.mark.parametrize(
    ("place", "exit_code"), [("http://127.0.0.1:9/a.npz", 3), ("/nowhere/a.npz", 2)]
)
def test_a_server_that_does_not_answer_may_be_tried_again(home, place, exit_code):
    answer = home.headrace("run", "blobs", "--data", place, "--json")
    assert answer.exit_code == exit_code
    assert place in answer.json["reason"]


def test_an_mlflow_that_does_not_answer_is_told_and_can_be_retried(
    first, after_first, prefect_server, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    answer = after_first.headrace("run", "blobs", "--set", "training.seed=9", "--json")
    assert answer.exit_code == 3
    found = answer.json
    assert (found["status"], found["error"]["kind"]) == ("error", "DependencyError")
    assert "MLflow at http://127.0.0.1:9 failed" in found["reason"]
    assert mlflow_runs(after_first) == [(first[1].json["run_id"], "FINISHED")]


def test_a_prefect_that_does_not_answer_is_told(home, deaf_server):
    answer = home.headrace("run", "blobs", "--json")
    assert answer.exit_code == 3
    assert f"Prefect server {deaf_server} does not answer" in answer.json["reason"]


def test_a_builder_that_is_not_there_is_told_before_any_work(home, prefect_server):
    answer = home.headrace("run", "blobs", "--set", "model.builder=cn", "--json")
    assert answer.exit_code == 2
    assert "Did you mean cnn?" in answer.json["reason"]
    assert not (home.path / "store" / "snapshots").exists()
