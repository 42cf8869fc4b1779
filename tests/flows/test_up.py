"""`up` and `worker` refuse at once what they cannot do; a home says what it needs."""

import json
import socket
from typing import Any

import pytest

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace_cli.services import show_servers
from headrace_ops.prefect_server import leave_out_trigrams
from headrace_ops.servers import own_postgres_is_used, public_link

Home = Any


def test_an_address_that_others_reach_is_refused_without_passwords(home):
    answer = home.headrace("up", "--host", "0.0.0.0", "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (2, "UsageError")
    assert "PREFECT_SERVER_API_AUTH_STRING" in answer.json["reason"]
    assert not list(home.path.glob("*.log")), "nothing was started"


def test_a_worker_without_a_server_says_how_to_have_one(home, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    answer = home.headrace("worker", "--pool", "cpu", "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (2, "UsageError")
    assert "headrace up" in answer.json["error"]["action"]
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    answer = home.headrace("worker", "--pool", "cpu", "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (3, "DependencyError")


@pytest.fixture
def postgres_home(tmp_path):
    """A home whose PostgreSQL is down."""
    home = tmp_path / "home"
    Settings(project=tmp_path, home=home).prepare_home()
    (home / "postgres.json").write_text(json.dumps({"socket": str(tmp_path)}))
    return home


def test_a_home_with_postgresql_finds_it_and_no_file_instead(postgres_home, tmp_path):
    settings = Settings(project=tmp_path, home=postgres_home)
    place = f"postgresql+psycopg2://postgres@/{{}}?host={tmp_path}"
    assert settings.database_url == place.format("headrace")
    assert settings.tracking_uri == place.format("mlflow")
    with pytest.raises(DependencyError) as refused:
        settings.prepare_home()
    assert "headrace up --postgres" in refused.value.action
    settings.prepare_home(to_start_servers=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / ".s.PGSQL.5432"))
        server.listen()
        settings.prepare_home()


def test_what_the_user_sets_wins_over_the_homes_postgresql(
    postgres_home, tmp_path, monkeypatch
):
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "sqlite:////elsewhere.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    settings = Settings(project=tmp_path, home=postgres_home)
    assert settings.database_url == "sqlite:////elsewhere.db"
    assert settings.tracking_uri == "http://mlflow:5000"
    settings.prepare_home()  # nothing of it is needed


def test_a_postgresql_is_started_unless_all_is_placed_elsewhere(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert own_postgres_is_used()
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://db/headrace")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert own_postgres_is_used()
    for name in ("PREFECT_API_DATABASE", "PREFECT_SERVER_DATABASE"):
        with monkeypatch.context() as patch:
            patch.setenv(f"{name}_CONNECTION_URL", "postgresql+asyncpg://db/prefect")
            assert not own_postgres_is_used()
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "sqlite:////elsewhere.db")
    assert not own_postgres_is_used()


@pytest.mark.parametrize(
    ("link", "is_local"),
    [
        ("postgresql://postgres@/headrace?host=/home/ada/.headrace/postgres", True),
        ("postgresql://headrace@control:5432/headrace", False),
    ],
)
def test_a_postgresql_of_the_home_is_said_to_serve_this_machine_only(
    link, is_local, capsys
):
    servers = {"workers": [], "home": "/home/ada/.headrace", "environment": {}}
    show_servers(servers, {"postgres": link})
    said = " ".join(capsys.readouterr().out.split())
    assert ("serves this machine only" in said) == is_local
    assert ("HEADRACE_DATABASE_URL" in said) == is_local


def test_the_links_are_shown_last(capsys):
    environment = {"PREFECT_API_AUTH_STRING": "headrace:x"}
    servers = {"workers": ["cpu"], "home": "/home/ada", "environment": environment}
    show_servers(servers, {"prefect": "http://p", "mlflow": "http://m"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["prefect   http://p", "mlflow    http://m"]
    assert lines[0] == "worker    pool cpu"


def test_a_link_names_the_machine_for_others():
    link = "http://127.0.0.1:4200"
    assert public_link(link, "127.0.0.1") == link
    assert public_link(link, "0.0.0.0") == f"http://{socket.getfqdn()}:4200"


@pytest.mark.parametrize(
    ("statement", "is_left_out"),
    [
        ("CREATE EXTENSION IF NOT EXISTS pg_trgm;", True),
        (
            "\n  CREATE INDEX CONCURRENTLY\n trgm_ix ON f USING gin (n gin_trgm_ops)",
            True,
        ),
        ("DROP INDEX CONCURRENTLY trgm_ix_flow_name", True),
        ("CREATE INDEX ix_flow__created ON flow (created)", False),
        ("SELECT * FROM flow WHERE name = 'trgm'", False),
        ("CREATE TABLE trgm (x int)", False),
    ],
)
def test_only_trigrams_are_left_out_of_prefects_migrations(statement, is_left_out):
    made, parameters = leave_out_trigrams(None, None, statement, (1,), None, False)
    assert (made, parameters) == (
        ("SELECT 1", ()) if is_left_out else (statement, (1,))
    )
