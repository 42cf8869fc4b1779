"""A flow finds its home, and a wrong variable of Prefect is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.settings import Settings
from headrace_ops.environment import places


def test_a_flow_is_given_places_that_hold_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings(project=Path("mill"), home=Path("home"), data=Path("data"))
    assert places(settings) == {
        "HEADRACE_HOME": str(tmp_path / "home"),
        "HEADRACE_PROJECT": str(tmp_path / "mill"),
        "HEADRACE_DATA": str(tmp_path / "data"),
    }


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
