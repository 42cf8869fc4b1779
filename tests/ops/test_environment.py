"""A flow finds its home."""

from pathlib import Path

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
