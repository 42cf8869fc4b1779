"""``headrace monitor`` as a user has it, the flow, its deployment and its event."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.blobs import blobs
from tests.flows.conftest import events_of

Home = Any
TABLES = """
[deploy]
on_drift = true
cooldown_minutes = 1440

[deploy.flows.monitor]
cron = "0 * * * *"
parameters = { since = "24h", rows = 500 }
"""


@pytest.fixture
def window(tmp_path):
    """Writes new blobs, of whose labels some are wrong."""

    def write(name, wrong=0, seed=77):
        images, labels = blobs(150, seed)
        labels[:wrong] = (labels[:wrong] + 1) % 3
        path = tmp_path / f"{name}.npz"
        np.savez(path, x_test=images, y_test=labels)
        return str(path)

    return write


def drift_events(client, since):
    return events_of(client, "headrace.drift", since)


def test_a_window_like_the_reference_is_ok(after_first, window):
    answer = after_first.headrace("monitor", "blobs", "--data", window("w"), "--json")
    assert answer.exit_code == 0, answer.err
    value = answer.json
    assert (value["model"], value["version"], value["status"]) == ("blobs", 1, "ok")
    assert (value["rows"], value["event"]) == (150, False)
    assert value["window"]["items"] == 150
    assert {"column", "p_value", "effect", "severity"} <= set(value["inputs"][0])
    assert set(value["estimate"]) >= {"value", "low", "high", "valid", "reason"}
    assert value["labelled"]["lost"] is False
    assert Path(value["links"]["report"]).is_file()
    assert value["run_id"]
    assert set(value["links"]) == {"report"}, "no server of MLflow has its page"

    text = after_first.headrace("monitor", "blobs/1", "--data", window("w")).out
    assert text.startswith("blobs version 1  ok\n")
    assert "accuracy by 150 labels" in text


def test_lost_performance_ends_with_1_and_an_event(after_first, window, client, caplog):
    before = datetime.now(UTC)
    arguments = ("monitor", "blobs", "--data", window("bad", 60))
    answer = after_first.headrace(*arguments, "--json")
    assert (answer.exit_code, answer.json["status"]) == (1, "degraded")
    assert answer.json["event"] is True
    assert "items remaining" not in caplog.text  # of Prefect
    (payload,) = drift_events(client, before)
    assert (payload["version"], payload["status"]) == (1, "degraded")
    assert payload["message"] == answer.json["reason"]
    assert (payload["page"], payload["run_id"]) == ("", answer.json["run_id"])


def test_without_requests_there_are_too_few_items(after_first):
    answer = after_first.headrace("monitor", "blobs", "--since", "24h", "--json")
    assert (answer.exit_code, answer.json["status"]) == (0, "too few")
    assert answer.json["window"]["source"] == "log"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "kind"),
    [
        (("nope",), 2, "NotFoundError"),
        (("blobs", "--data", "x.npy", "--since", "24h"), 2, "UsageError"),
        (("blobs", "--since", "soon"), 2, "UsageError"),
        (("blobs", "--data", "nothing.npy"), 2, "NotFoundError"),
        (("blobs", "--labels", "nothing.csv"), 2, "NotFoundError"),
    ],
)
def test_a_mistake_has_its_exit_code(first, arguments, exit_code, kind):
    answer = first[0].headrace("monitor", *arguments, "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (exit_code, kind)


def test_the_flow_reports_emits_and_attaches_the_report(
    after_first, window, client, monkeypatch
):
    from prefect.client.schemas.filters import ArtifactFilter
    from prefect.events.worker import EventsWorker

    from headrace_flows.monitor import monitor

    after_first.enter(monkeypatch)
    before = datetime.now(UTC)
    state = monitor("blobs", window("good"), return_state=True)
    assert (state.is_completed(), state.name) == (True, "Ok")
    state = monitor("blobs", window("bad", 60, seed=5), return_state=True)
    assert (state.is_completed(), state.name) == (True, "Degraded")
    assert state.result().event
    EventsWorker.drain_all(timeout=10)
    (payload,) = drift_events(client, before)
    assert payload["message"] == state.message
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter.model_validate(
            {"key": {"any_": ["blobs-monitor"]}}
        )
    )
    newest = max(artifacts, key=lambda artifact: artifact.created)
    assert newest.data.startswith("# blobs, version 1\n")
    assert "**degraded**" in newest.data


def test_the_flow_is_deployed_with_a_schedule_and_starts_retraining(
    home, project, tmp_path, client
):
    copied = tmp_path / "project"
    shutil.copytree(project, copied)
    path = copied / "pipelines" / "blobs" / "pipeline.toml"
    path.write_text(path.read_text() + TABLES)
    place = type(home)(home.path, copied)
    answer = place.headrace("deploy", "--json")
    assert answer.exit_code == 0, answer.err
    deployment = client.read_deployment_by_name("monitor/blobs")
    assert deployment.entrypoint == "headrace_flows.monitor.monitor"
    assert deployment.schedules[0].schedule.cron == "0 * * * *"
    assert deployment.parameters == {"model": "blobs", "since": "24h", "rows": 500}
    (automation,) = client.read_automations_by_name("train/blobs on events")
    assert automation.trigger.expect == {"headrace.drift"}
    assert automation.trigger.within == timedelta(days=1)
