"""What runs beside the answering versions starts without touching the server."""

from __future__ import annotations

import fcntl
import time
from typing import Any

import pytest

from headrace.models.engines import building, kept
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.use.serving.starting import open_alone


def test_a_challenger_is_opened_by_its_own_process_and_waits_for_no_lock(
    built: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("the server opens a challenger")

    monkeypatch.setattr(building, "open_kept", fail)
    monkeypatch.setattr(kept, "open_kept", fail)
    row = Ledger(built.database_url).version("images", 1)
    with (built.home / "engines.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        engine = open_alone(row, built)
        assert time.monotonic() - began < 60
    assert engine.name == "onnx"
    engine.close()
