"""MLflow's server: who is asked about a login, and what it is started with."""

import configparser
from pathlib import Path

import pytest
import yaml

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.logins import Login
from headrace_ops import mlflow_server, servers
from headrace_ops.mlflow_server import cached, create_app

REPOSITORY = Path(__file__).parents[2]


def test_without_a_login_nothing_is_served(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_PASSWORD"):
        create_app()


def test_who_was_right_is_not_asked_about_for_a_minute(monkeypatch):
    asked = []

    def ask(user, password):
        asked.append(user)
        return password == "right"

    now = [0.0]
    monkeypatch.setattr(mlflow_server.time, "monotonic", lambda: now[0])
    is_user = cached(ask)
    assert is_user(Login("ada", "right"))
    assert is_user(Login("ada", "right"))
    assert not is_user(Login("ada", "wrong"))
    assert not is_user(Login("ada", "wrong"))
    assert asked == ["ada"] * 3
    now[0] = 61.0
    assert is_user(Login("ada", "right"))
    assert asked == ["ada"] * 4


def written(monkeypatch, tmp_path):
    """The access settings that `headrace up` gives to MLflow."""
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", "x" * 12)
    monkeypatch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "y" * 12)
    settings = Settings(home=tmp_path).prepare_home()
    service = servers.mlflow_service(settings, "127.0.0.1", 5000)
    return Path(service.environment["MLFLOW_AUTH_CONFIG_PATH"]).read_text("utf-8")


def in_compose(*_):
    return (REPOSITORY / "infra/mlflow/basic_auth.ini").read_text("utf-8")


def in_kubernetes(*_):
    text = (REPOSITORY / "infra/kubernetes/settings.yaml").read_text("utf-8")
    (own,) = [
        part for part in yaml.safe_load_all(text) if "basic_auth.ini" in part["data"]
    ]
    return own["data"]["basic_auth.ini"]


@pytest.mark.parametrize("access", [written, in_compose, in_kubernetes])
def test_mlflow_hashes_a_password_once_a_minute(access, monkeypatch, tmp_path):
    """Without it, several times in each request: a run takes a minute longer."""
    rules = configparser.ConfigParser()
    rules.read_string(access(monkeypatch, tmp_path))
    seconds = rules.getfloat("mlflow", "auth_cache_ttl_seconds")
    assert seconds == mlflow_server.CACHE_SECONDS == 60
