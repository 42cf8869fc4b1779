"""A flow finds its home, and nobody is let in unasked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.hosts import is_loopback
from headrace_ops import servers
from headrace_ops.environment import places, require_passwords


def test_a_flow_is_given_places_that_hold_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings(project=Path("mill"), home=Path("home"), data=Path("data"))
    assert places(settings) == {
        "HEADRACE_HOME": str(tmp_path / "home"),
        "HEADRACE_PROJECT": str(tmp_path / "mill"),
        "HEADRACE_DATA": str(tmp_path / "data"),
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_password(host):
    assert is_loopback(host)
    require_passwords(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.3", "trainer.lab"])
def test_a_wider_address_is_refused_without_passwords(host, monkeypatch):
    with pytest.raises(UsageError) as refused:
        require_passwords(host)
    assert "PREFECT_SERVER_API_AUTH_STRING" in str(refused.value)
    assert "MLFLOW_TRACKING_PASSWORD" in str(refused.value)

    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "admin:canary")
    with pytest.raises(UsageError) as refused:
        require_passwords(host)
    assert "PREFECT_SERVER" not in str(refused.value)
    assert "canary" not in str(refused.value)

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "canary")
    require_passwords(host)


@pytest.mark.system
def test_mlflow_is_reached_by_its_names_and_by_none_that_begins_like_them(tmp_path):
    from mlflow.server.security_utils import is_allowed_host_header

    settings = Settings(project=tmp_path, home=tmp_path)
    for host, link in (("10.0.0.7", "10.0.0.7:5000"), ("fd00::7", "[fd00::7]:5000")):
        service = servers.mlflow_service(settings, host, 0)
        allowed = service.environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
        for good in ("localhost:5000", "127.0.0.1:5000", link):
            assert is_allowed_host_header(allowed, good)
        for bad in ("localhost.evil.org:5000", "127.0.0.1.evil.org", "f:5000"):
            assert not is_allowed_host_header(allowed, bad)


@pytest.mark.system
@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PREFECT_LOGGING_LEVEL", "foo", "'FOO' for LoggingSettings.level"),
        ("PREFECT_SERVER_API_PORT", "abc", "'abc' for ServerAPISettings.port"),
    ],
)
def test_a_variable_that_prefect_refuses_is_told_in_a_sentence(
    variable, value, told, tmp_path
):
    code = (
        "import sys\n"
        "try: import prefect\n"
        "except Exception: pass\n"
        "from pathlib import Path\n"
        "from headrace.errors import UsageError\n"
        "from headrace.settings import Settings\n"
        "from headrace_ops.environment import enter_prefect\n"
        "settings = Settings(project=Path(sys.argv[1]))\n"
        "try: enter_prefect(settings, 'http://127.0.0.1:1/api')\n"
        "except UsageError as error: print(error.message, error.action)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, variable: value},
        timeout=120,
    )
    assert ran.stdout.startswith(f"Prefect refuses {told}: Input should be ")
    assert "Correct or unset the variable" in ran.stdout
