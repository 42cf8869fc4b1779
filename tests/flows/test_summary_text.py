"""The summary as text: what it quotes is printed as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.settings import Settings
from headrace_cli.summary import show_summary


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
