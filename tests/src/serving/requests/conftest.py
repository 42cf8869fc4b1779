from __future__ import annotations

from pathlib import Path

import pytest

from headrace.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of a home without a log."""
    return Settings(project=tmp_path, home=tmp_path / "home")
