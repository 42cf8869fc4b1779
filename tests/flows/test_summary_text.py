"""The summary as text: what it quotes is printed as it is."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.spec import load_spec
from headrace_cli.summary import show_summary
from headrace_flows.run import Run
from headrace_flows.summary import failed


def test_brackets_and_missing_numbers_do_not_break_the_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "[Errno 28] no room in [/tmp/x]"
    stage = {"name": "train", "state": "failed", "seconds": 1.0, "why": text}
    gate = {"name": "size", "passed": False, "value": None, "threshold": 1.0}
    metrics = {"test_accuracy": 0.5, "test_accuracy_low": 0.4, "test_accuracy_high": 1}
    summary = {
        **{"pipeline": "pets", "task": "classification", "status": "refused"},
        **{"version": None, "reason": text},
        **{"seconds": 1.0, "stages": [stage], "gates": [{**gate, "reason": text}]},
        **{"metrics": metrics, "warnings": [], "snapshot": None, "links": {}},
        **{"slices": {}, "suspects": [], "repairs": []},
        **{"experiment": False, "overrides": []},
    }
    show_summary(summary, Settings(project=tmp_path, home=tmp_path / "home"))
    printed = capsys.readouterr().out
    assert printed.count("[Errno 28]") == 2, "the stage does not repeat the reason"
    assert printed.count("[/tmp/x]") == 2
    assert "log loss nan" in printed


def test_where_an_error_was_raised_is_shown_if_more_is_asked_for(
    settings: Settings, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project / "pipelines" / "blobs"
    run = Run(load_spec(folder), folder, settings)
    try:
        raise UsageError("it failed") from ZeroDivisionError()
    except UsageError as error:
        failed(run, error)
        assert not caplog.text
        caplog.set_level(logging.DEBUG, logger="headrace")
        summary, exit_code = failed(run, error)
    assert (summary["error"]["message"], exit_code) == ("it failed", 2)
    assert "ZeroDivisionError" in caplog.text and __file__ in caplog.text
