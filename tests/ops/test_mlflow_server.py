"""MLflow's servers, and whom they ask for a login."""

import asyncio
import configparser
from pathlib import Path

import pytest
import yaml

from headrace.errors import UsageError
from headrace_ops.mlflow_server import create_app, with_choices

REPOSITORY = Path(__file__).parents[2]


def test_without_a_login_nothing_is_served(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_PASSWORD"):
        create_app()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ajax-api/3.0/mlflow/assistant/message", 404),
        ("POST", "/ajax-api/3.0/mlflow/assistant/message", 404),
        ("GET", "/", 200),
        ("POST", "/", 299),
        ("GET", "/api/2.0/x", 299),
    ],
)
def test_mlflow_is_as_it_is_but_for_its_choices_and_its_assistant(method, path, status):
    from mlflow.server import app

    sent = []

    async def mlflow(scope, receive, send):
        await send({"type": "http.response.start", "status": 299, "headers": []})

    async def send(message):
        sent.append(message)

    made = with_choices(mlflow, Path(app.static_folder) / "index.html")
    scope = {"type": "http", "method": method, "path": path, "headers": []}
    asyncio.run(made(scope, None, send))
    assert sent[0]["status"] == status
    if status == 200:
        page = sent[1]["body"].decode()
        assert page.index("telemetry") < page.index('<script defer="defer"'), (
            "told first"
        )


def in_compose():
    return (REPOSITORY / "infra/mlflow/basic_auth.ini").read_text("utf-8")


def in_kubernetes():
    text = (REPOSITORY / "infra/kubernetes/settings.yaml").read_text("utf-8")
    (own,) = [
        part for part in yaml.safe_load_all(text) if "basic_auth.ini" in part["data"]
    ]
    return own["data"]["basic_auth.ini"]


@pytest.mark.parametrize("access", [in_compose, in_kubernetes])
def test_mlflow_hashes_a_password_once_a_minute(access):
    """Without it, several times in each request: a run takes a minute longer."""
    rules = configparser.ConfigParser()
    rules.read_string(access())
    assert rules.getfloat("mlflow", "auth_cache_ttl_seconds") == 60
