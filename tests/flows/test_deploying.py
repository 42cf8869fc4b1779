"""``headrace deploy`` on a real Prefect server."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

DEPLOY = """
[deploy]
cron = "0 3 * * *"
timezone = "Asia/Shanghai"
train_pool = "gpu"
"""


@pytest.fixture
def place(home, project, tmp_path, prefect_server):
    """A home whose project has the pipeline ``blobs`` with a [deploy] table."""
    copied = tmp_path / "project"
    shutil.copytree(project, copied)
    write(copied, DEPLOY)
    return type(home)(home.path, copied)


@pytest.fixture(autouse=True)
def _clean(client):
    """Every test uses the client, which leaves nothing behind."""


def write(project, table):
    path = project / "pipelines" / "blobs" / "pipeline.toml"
    path.write_text(path.read_text().partition("\n[deploy]")[0] + table)


def states(answer):
    return {one["name"]: one["state"] for one in answer.json["deployments"]}


def test_a_table_becomes_deployments_with_pools_and_a_schedule(place, client):
    answer = place.headrace("deploy", "--json")
    assert answer.exit_code == 0, answer.err
    made = dict.fromkeys(("train/blobs", "fit/blobs", "verify/nightly"), "created")
    assert states(answer) == made
    verify = client.read_deployment_by_name("verify/nightly")
    assert verify.schedules[0].schedule.cron == "0 3 * * *"
    assert verify.entrypoint == "headrace_flows.verify.verify"
    assert (verify.work_pool_name, verify.parameters) == ("cpu", {})
    train = client.read_deployment_by_name("train/blobs")
    assert train.entrypoint == "headrace_flows.train.train"
    assert not train.pull_steps
    assert (train.work_pool_name, train.work_queue_name) == ("cpu", "default")
    assert train.schedules[0].schedule.cron == "0 3 * * *"
    assert train.schedules[0].schedule.timezone == "Asia/Shanghai"
    assert train.schedules[0].active
    assert train.global_concurrency_limit.limit == 1
    assert train.concurrency_options.collision_strategy.value == "ENQUEUE"
    source = Path(train.parameters["pipeline"]["data"]["source"])
    assert source == place.project / "pipelines" / "blobs" / "blobs.npz"
    fit = client.read_deployment_by_name("fit/blobs")
    assert (fit.work_pool_name, fit.schedules) == ("gpu", [])
    assert {client.read_work_pool(pool).type for pool in ("cpu", "gpu")} == {"process"}


def test_the_server_refuses_a_value_that_the_spec_would_refuse(place, client):
    from prefect.exceptions import PrefectHTTPStatusError

    place.headrace("deploy", "--json")
    train = client.read_deployment_by_name("train/blobs")
    good = json.loads(json.dumps(train.parameters["pipeline"]))
    bad = {**good, "training": {**good["training"], "epochs": 0}}
    with pytest.raises(PrefectHTTPStatusError, match="409"):
        client.create_flow_run_from_deployment(train.id, parameters={"pipeline": bad})
    run = client.create_flow_run_from_deployment(
        train.id, parameters={"pipeline": good}
    )
    assert run.parameters["folder"].startswith("sha256:")


def test_deploying_again_changes_nothing_until_the_file_does(place, client):
    place.headrace("deploy", "--json")
    first = client.read_deployment_by_name("train/blobs")
    assert set(states(place.headrace("deploy", "--json")).values()) == {"unchanged"}
    assert client.read_deployment_by_name("train/blobs").updated == first.updated
    write(place.project, '\n[deploy]\nwhen_busy = "refuse"\nconcurrency = 2\n')
    answer = place.headrace("deploy", "blobs", "--json")
    assert states(answer) == {"train/blobs": "updated", "fit/blobs": "removed"}
    train = client.read_deployment_by_name("train/blobs")
    assert train.id == first.id
    assert train.schedules == []
    assert train.global_concurrency_limit.limit == 2
    assert train.concurrency_options.collision_strategy.value == "CANCEL_NEW"


@pytest.mark.parametrize("named", [["blobs"], []])
def test_removing_the_table_removes_the_deployment(place, client, named):
    place.headrace("deploy", "--json")
    write(place.project, "")
    removed = {"train/blobs": "removed", "fit/blobs": "removed"}
    answer = states(place.headrace("deploy", *named, "--json"))
    assert answer.pop("verify/nightly", "unchanged") == "unchanged"
    assert answer == removed
    assert [one.name for one in client.read_deployments()] == ["nightly"]


def test_removing_the_folder_removes_the_deployment_and_no_other_project_s(
    place, client, project, tmp_path
):
    other = type(place)(tmp_path / "other_home", tmp_path / "other")
    shutil.copytree(project / "pipelines" / "blobs", other.project / "pipelines/spots")
    toml = other.project / "pipelines" / "spots" / "pipeline.toml"
    toml.write_text(toml.read_text() + "\n[deploy]\n")
    other.headrace("deploy", "--json")
    place.headrace("deploy", "--json")
    shutil.rmtree(place.project / "pipelines" / "blobs")
    (place.project / "pipelines" / "none").mkdir()
    removed = {"train/blobs": "removed", "fit/blobs": "removed"}
    answer = place.headrace("deploy", "--json")
    assert removed.items() <= states(answer).items()
    assert "verify/nightly" not in states(answer), "the other project has it"
    assert "verify/nightly that is not of this project" in answer.err
    assert client.read_deployment_by_name("train/spots").name == "spots"


def test_a_deployment_of_the_same_name_of_another_project_is_left_alone(
    place, client, tmp_path
):
    assert place.headrace("deploy", "--json").exit_code == 0
    before = client.read_deployment_by_name("train/blobs")
    write(place.project, DEPLOY + "paused = true\n")
    other = type(place)(tmp_path / "other_home", place.project)
    answer = other.headrace("deploy", "--json")
    assert answer.exit_code == 2
    (theirs,) = (tag for tag in before.tags if tag.startswith("headrace-"))
    assert theirs in answer.json["reason"]
    assert client.read_deployment_by_name("train/blobs").updated == before.updated


def test_a_pipeline_without_a_table_is_told_what_to_add(place):
    write(place.project, "")
    answer = place.headrace("deploy", "blobs", "--json")
    assert answer.exit_code == 2
    assert "[deploy]\ncron = " in answer.json["error"]["action"]


def test_a_run_that_is_late_survives_a_redeploy(place, client):
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId

    place.headrace("deploy", "--json")
    train = client.read_deployment_by_name("train/blobs")
    past = datetime.now(UTC) - timedelta(days=1, minutes=1)
    client.request(
        "POST",
        "/deployments/{id}/schedule",
        path_params={"id": train.id},
        json={
            "start_time": past.isoformat(),
            "end_time": datetime.now(UTC).isoformat(),
        },
    )
    of_train = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[train.id]))

    def due():
        runs = client.read_flow_runs(flow_run_filter=of_train)
        now = datetime.now(UTC)
        return sorted(run.id for run in runs if run.expected_start_time <= now)

    before = due()
    assert before
    write(place.project, DEPLOY.replace("0 3", "0 4"))
    assert states(place.headrace("deploy", "--json"))["train/blobs"] == "updated"
    assert due() == before


def test_events_make_one_automation_that_stays_as_long_as_it_is_right(place, client):
    table = "\n[deploy]\non_drift = true\ncooldown_minutes = 30\n"
    write(place.project, table)
    place.headrace("deploy", "--json")
    made = client.read_automations_by_name("train/blobs on events")
    assert [one.trigger.expect for one in made] == [{"headrace.drift"}]
    assert made[0].trigger.within == timedelta(minutes=30)
    write(place.project, table + 'cron = "0 3 * * *"\n')
    place.headrace("deploy", "--json")
    kept = client.read_automations_by_name("train/blobs on events")
    assert [one.id for one in kept] == [made[0].id]
    client.delete_deployment(client.read_deployment_by_name("train/blobs").id)
    place.headrace("deploy", "--json")
    (anew,) = client.read_automations_by_name("train/blobs on events")
    train = client.read_deployment_by_name("train/blobs")
    assert [action.deployment_id for action in anew.actions] == [train.id]
    write(place.project, table + "on_snapshot = true\n")
    place.headrace("deploy", "--json")
    changed = client.read_automations_by_name("train/blobs on events")
    assert [one.trigger.expect for one in changed] == [
        {"headrace.drift", "headrace.snapshot"}
    ]
    write(place.project, "\n[deploy]\n")
    place.headrace("deploy", "--json")
    assert client.read_automations_by_name("train/blobs on events") == []


FLOWS = """
[deploy]

[deploy.flows.score]
cron = "0 6 * * *"
pool = "scoring"
parameters = { model = "blobs", source = "s3://inbox/x", output = "answers.csv" }

[deploy.flows.tune]
parameters = { ranges = ["training.learning_rate=log(1e-3,1)"] }
"""


def test_other_flows_are_deployed_with_their_parameters(place, client):
    write(place.project, FLOWS)
    answer = place.headrace("deploy", "--json")
    assert answer.exit_code == 0, answer.err
    made = ("train/blobs", "score/blobs", "tune/blobs", "verify/nightly")
    assert states(answer) == dict.fromkeys(made, "created")
    score = client.read_deployment_by_name("score/blobs")
    assert score.entrypoint == "headrace_flows.score.score"
    assert score.work_pool_name == "scoring"
    assert score.schedules[0].schedule.cron == "0 6 * * *"
    # A relative path begins in the pipeline's folder; a worker is somewhere else.
    folder = place.project / "pipelines" / "blobs"
    assert score.parameters["output"] == str(folder / "answers.csv")
    assert score.parameters["source"] == "s3://inbox/x"
    assert "pipeline" not in score.parameters
    tune = client.read_deployment_by_name("tune/blobs").parameters
    train = client.read_deployment_by_name("train/blobs").parameters
    assert {key: tune[key] for key in train} == train

    write(place.project, "\n[deploy]\n")
    assert states(place.headrace("deploy", "--json")) == {
        "train/blobs": "updated",
        "score/blobs": "removed",
        "tune/blobs": "removed",
        "verify/nightly": "unchanged",
    }


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            "[deploy.flows.scores]",
            "'scores' is not one of monitor, score, tune, verify",
        ),
        (
            "[deploy.flows.score]\nparameters = { source = 'ftp://a:b@host/x' }",
            "The parameter source holds a credential",
        ),
        (
            "[deploy.flows.tune]\nparameters = { trials = 'many' }",
            "blobs: deploy.flows.tune.parameters.trials is 'many', which the flow",
        ),
        ("parameters = { register_only = 3 }", "deploy.parameters.register_only is 3"),
    ],
)
@pytest.mark.parametrize("command", [("check", "blobs"), ("deploy",)])
def test_a_flow_that_does_not_fit_is_refused(place, table, reason, command):
    write(place.project, f"\n[deploy]\n{table}\n")
    answer = place.headrace(*command, "--json")
    assert answer.exit_code == 2
    assert reason in answer.json["reason"]
