"""Headrace's own pages, beside those of MLflow, and what MLflow's page is told."""

import asyncio
import json
import re
import shutil

import pytest

from headrace.settings import Settings
from headrace.state.store import Store
from headrace.state.tracking import Tracking
from headrace.state.tracking.experiments import PIPELINE_TAG, VIEW_TAG, view_of
from headrace_ops import live
from headrace_ops.mlflow_server import Pages

NAME = "0123456789abcdef-0123456789abcdef"


async def other(scope, receive, send):
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"other"})


def get(settings, path, method="GET"):
    """The status and headers, and the body, of an answer."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(Pages(other, settings)(scope, None, send))
    return sent[0], sent[1]["body"]


@pytest.fixture
def settings(tmp_path):
    """A home with one page of checks, and the index."""
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    store = Store(settings.store)
    store.write(f"data_docs/{NAME}/index.html", b"the page")
    store.write("data_docs/index.html", b"the index")
    store.write("secret.html", b"secret")
    return settings


def test_the_data_docs_and_their_index_are_served(settings):
    path = live.data_docs_path(f"/anywhere/data_docs/{NAME}/index.html")
    start, page = get(settings, path)
    headers = dict(start["headers"])

    assert (start["status"], page) == (200, b"the page")
    assert headers[b"content-type"].startswith(b"text/html")
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")
    assert get(settings, live.DATA_DOCS)[1] == b"the index"


@pytest.mark.parametrize(
    "path",
    [
        "/headrace/",
        "/headrace/runs/1",
        "/headrace/data_docs/other/index.html",
        "/headrace/data_docs/../secret.html",
        "/headrace/data_docs/%2e%2e/secret.html",
        f"/headrace/data_docs/{NAME}/../../../secret.html",
        "/headrace/reports/..",
        f"/headrace/reports/{'0' * 32}",
        "/ajax-api/3.0/mlflow/assistant/config",
    ],
)
def test_nothing_else_is_served(settings, path):
    start, body = get(settings, path)

    assert start["status"] == 404
    assert b"secret" not in body


def test_other_paths_and_methods_are_not_ours(settings):
    assert get(settings, "/api/2.0/x")[0]["status"] == 299
    assert get(settings, "/", "POST")[0]["status"] == 299
    for path in (live.DATA_DOCS, "/ajax-api/3.0/mlflow/assistant/message"):
        assert get(settings, path, "POST")[0]["status"] == 404


def test_pages_are_not_served_by_another_mlflow(settings, monkeypatch):
    assert live.are_pages_served(settings)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    assert not live.are_pages_served(settings)


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
