"""What MLflow's page is told, and what of MLflow is not there."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from headrace.settings import Settings
from headrace.state.tracking import Tracking
from headrace.state.tracking.experiments import PIPELINE_TAG, VIEW_TAG, view_of
from headrace_ops import live
from headrace_ops.mlflow_page import WithViews


async def other(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"other"})


def get(settings, path, method="GET"):
    """The status and headers, and the body, of an answer."""
    from mlflow.server import app

    page, sent = Path(app.static_folder) / "index.html", []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(WithViews(other, page, settings)(scope, None, send))
    return sent[0], sent[1]["body"]


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path, home=tmp_path / "home")


def test_other_paths_and_methods_are_mlflows(settings):
    assert get(settings, "/api/2.0/x")[0]["status"] == 299
    assert get(settings, "/", "POST")[0]["status"] == 299


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_assistant_is_not_there(settings, method):
    path = "/ajax-api/3.0/mlflow/assistant/message"
    assert get(settings, path, method)[0]["status"] == 404


@pytest.fixture
def tracking(settings, mlflow_database):
    settings.home.mkdir(exist_ok=True)
    shutil.copy(mlflow_database, settings.home / "mlflow.db")
    return Tracking(settings)


def test_mlflows_page_is_told_the_view_of_each_experiment(settings, tracking):
    own = view_of("accuracy", ["test_accuracy", "test_log_loss"])
    digits = tracking.experiment("digits", view=own)
    evil = tracking.experiment("evil", view=own)
    hostile = json.dumps({"name": "x", "state": "</script><script>alert(1)"})
    tracking.client.set_experiment_tag(evil, VIEW_TAG, hostile)

    start, body = get(settings, "/")

    page = body.decode()
    assert dict(start["headers"])[b"cache-control"] == b"no-store"
    assert page.index("<script>") < page.index('<script defer="defer"'), "told first"
    assert page.count("</script>") == 2, "a view ends no script"
    told = [json.loads(t) for t in re.findall(r"Object.entries\((.*)\)\)", page)]
    assert told[1] == {digits: own, evil: "</script><script>alert(1)"}
    assert told[0]["mlflow.settings.telemetry.enabled_v1"] == "false"


def test_mlflows_page_opens_without_its_database(settings):
    settings.home.mkdir(exist_ok=True)
    (settings.home / "mlflow.db").write_bytes(b"no database" * 100)
    assert get(settings, "/")[0]["status"] == 200


def test_the_link_to_the_runs_opens_the_pipeline_that_was_trained_last(
    settings, tracking
):
    def target():
        start, _ = get(settings, live.RUNS)
        assert start["status"] == 303
        return dict(start["headers"])[b"location"].decode()

    assert target() == "/"
    with tracking.run("digits", "digits", {PIPELINE_TAG: "digits"}) as (_, number):
        pass
    place = f"/#/experiments/{number}/runs?workflowType=machine_learning"
    assert target() == place
