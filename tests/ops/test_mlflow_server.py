"""MLflow's server: where artifacts may go, and whom it is asked about."""

import configparser
import shutil
from pathlib import Path

import pytest
import yaml

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.logins import Login
from headrace_ops import mlflow_server, servers
from headrace_ops.mlflow_server import cached, create_app, is_below

REPOSITORY = Path(__file__).parents[2]
ARTIFACTS = "file:///home/ada/.headrace/mlartifacts"


@pytest.mark.parametrize(
    ("location", "is_allowed"),
    [
        (ARTIFACTS, True),
        (f"{ARTIFACTS}/digits", True),
        ("/home/ada/.headrace/mlartifacts/digits", True),
        ("mlflow-artifacts:/digits", True),
        ("file:///home/ada/.headrace/mlartifacts-other", False),
        ("file:///home/ada/.headrace", False),
        (f"{ARTIFACTS}/../../.ssh", False),
        (f"{ARTIFACTS}/%2e%2e/%2e%2e/.ssh", False),
        ("mlflow-artifacts:/../../.ssh", False),
        (f"{ARTIFACTS}?x=/etc", False),
        (f"{ARTIFACTS}#/etc", False),
        ("file://elsewhere/home/ada/.headrace/mlartifacts", False),
        ("/etc", False),
        ("s3://bucket/home/ada/.headrace/mlartifacts", False),
        ("http://elsewhere/", False),
    ],
)
def test_artifacts_go_below_the_root_alone(location, is_allowed):
    assert is_below(location, ARTIFACTS) is is_allowed


def test_a_root_in_a_bucket_has_places_in_it():
    assert is_below("s3://bucket/mlartifacts/digits", "s3://bucket/mlartifacts")
    assert not is_below("s3://other/mlartifacts/digits", "s3://bucket/mlartifacts")


@pytest.fixture
def unchanged(monkeypatch):
    """Puts back what `create_app` replaces in MLflow, which other tests use as well."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    create = SqlAlchemyStore.create_experiment
    monkeypatch.setattr(SqlAlchemyStore, "create_experiment", create)


def test_an_experiment_has_its_artifacts_below_the_root(
    unchanged, monkeypatch, mlflow_database, tmp_path
):
    from mlflow.exceptions import MlflowException
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    monkeypatch.setenv(ARTIFACT_ROOT_ENV_VAR, ARTIFACTS)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "right")
    create_app()
    database = shutil.copy(mlflow_database, tmp_path)
    store = SqlAlchemyStore(f"sqlite:///{database}", ARTIFACTS)
    with pytest.raises(MlflowException, match="must be below"):
        store.create_experiment("evil", artifact_location="/etc", tags=[])
    with pytest.raises(MlflowException, match="must be below"):
        store.create_experiment("evil", "/etc", [])
    assert store.create_experiment("good", artifact_location=f"{ARTIFACTS}/x", tags=[])


def test_without_a_login_nothing_is_served(unchanged, monkeypatch):
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
