"""What a worker starts: only what is recorded, and only as it is recorded."""

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.workers.process import ProcessWorker

from headrace_ops.pools import PROCESS_TEMPLATE, NotAdmitted, admit

ID = "00000000-0000-0000-0000-000000000001"
GOOD = "headrace_flows.train.train"
RECORDED = {"train/digits": GOOD}
PACKED = "sha256:" + "0" * 64


def run(**values):
    return FlowRun.model_validate({"flow_id": ID, **values})


def deployment(**values):
    found = {"name": "digits", "flow_id": ID, "entrypoint": GOOD, "pull_steps": []}
    return DeploymentResponse.model_validate({**found, **values})


def test_a_recorded_deployment_is_started():
    given = {"folder": PACKED, "pipeline": {}}
    for template in (PROCESS_TEMPLATE, ProcessWorker.get_default_base_job_template()):
        found = admit(run(parameters=given), deployment(), "train", template, RECORDED)
        assert found == GOOD
    assert admit(run(), deployment(pull_steps=None), "train", {}, RECORDED) == GOOD


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"entrypoint": "evil.py:train"}, "has the entrypoint 'evil.py:train'"),
        ({"entrypoint": None}, "has the entrypoint None"),
        ({"pull_steps": [{"x": {}}]}, "fetches code"),
        ({"path": "/tmp"}, "fetches code"),
        ({"storage_document_id": ID}, "fetches code"),
        ({"job_variables": {"command": "id"}}, "sets the job variables command"),
        ({"name": "other"}, "train/other is not recorded"),
    ],
    ids=str,
)
def test_a_deployment_that_is_not_as_recorded_is_refused(changes, why):
    with pytest.raises(NotAdmitted, match=why) as refused:
        admit(run(), deployment(**changes), "train", {}, RECORDED)
    assert "headrace deploy" in refused.value.action


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"job_variables": {"env": {"PATH": "/tmp"}}}, "it sets the job variables env"),
        ({"parameters": {"folder": "/tmp/evil"}}, "folder is a path"),
        ({"parameters": {"folder": f"{PACKED}/../evil"}}, "folder is a path"),
    ],
    ids=str,
)
def test_a_run_that_asks_for_more_is_refused(values, why):
    with pytest.raises(NotAdmitted, match=why):
        admit(run(**values), deployment(), "train", {}, RECORDED)


def test_a_run_of_nothing_or_of_another_flow_is_refused():
    with pytest.raises(NotAdmitted, match="has no deployment"):
        admit(run(), None, "train", {}, RECORDED)
    with pytest.raises(NotAdmitted, match="fit/digits is not recorded"):
        admit(run(), deployment(), "fit", {}, RECORDED)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ({"job_configuration": {"command": "id"}}, "a command"),
        ({"job_configuration": {"working_dir": "/tmp"}}, "a working directory"),
        ({"job_configuration": {"env": {"A": "b"}}}, "environment variables"),
        (
            {
                "job_configuration": {"command": "{{ command }}"},
                "variables": {"properties": {"command": {"default": "id"}}},
            },
            "a command",
        ),
    ],
    ids=str,
)
def test_a_pool_that_has_a_say_is_refused(template, why):
    with pytest.raises(NotAdmitted, match=f"pool's template sets {why}"):
        admit(run(), deployment(), "train", template, RECORDED)
