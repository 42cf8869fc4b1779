"""MLflow's servers, and whom they ask for a login."""

import configparser
from pathlib import Path

import pytest
import yaml

from headrace.errors import UsageError
from headrace_ops.mlflow_server import create_app

REPOSITORY = Path(__file__).parents[2]


def test_without_a_login_nothing_is_served(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_PASSWORD"):
        create_app()


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
