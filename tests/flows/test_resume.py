"""A training that is killed goes on in the middle of an epoch, to the same weights."""

import shutil
import time

import requests
from tests.homes import Home, mlflow_runs, rows_of

from headrace_ops.environment import authorization, prefect_login

CHANGED = ("--set", "training.epochs=300", "--set", "model.arguments.dropout=0.2")
OFTEN = ("--set", "training.checkpoint_steps=7")


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    after_first, mlflow_database, prefect_server
):
    run = ("run", "blobs", "--json", *CHANGED)
    process = after_first.start(*run, *OFTEN, PREFECT_API_URL=prefect_server)
    checkpoints = after_first.path / "store" / "checkpoints"
    limit = time.monotonic() + 600
    while len(list(checkpoints.glob("*/*[1-9][0-9][0-9].ckpt"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.kill()
    process.wait()
    answer = after_first.headrace(*run)
    assert answer.exit_code == 0, answer.out + answer.err
    went_on = answer.json
    assert list(checkpoints.glob("*")) == []
    train = next(stage for stage in went_on["stages"] if stage["name"] == "train")
    assert train["state"] == "resumed"
    assert "went on from epoch" in train["why"]
    statuses = [status for _, status in mlflow_runs(after_first)]
    assert statuses == ["FINISHED", "KILLED", "FINISHED"]
    # Prefect was told as well, by the command that went on.
    query = "SELECT flow_run_id, state FROM leases ORDER BY token"
    (killed, *_), second = rows_of(after_first.path / "headrace.db", query)[-2:]
    assert second == (went_on["flow_run_id"], "ended")
    found = requests.get(
        f"{prefect_server}/flow_runs/{killed}",
        headers=authorization(prefect_login()),
        timeout=600,
    ).json()
    assert found["state_type"] == "CRASHED"
    assert "is gone" in found["state"]["message"]
    # In a home that knows nothing of it, without a kill.
    again = Home(after_first.path.with_name("other"), after_first.project)
    again.path.mkdir()
    shutil.copy(mlflow_database, again.path / "mlflow.db")
    assert again.headrace(*run).json["weights_digest"] == went_on["weights_digest"]
