"""A home whose champion is version 1 of ``blobs``, and windows of new blobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.blobs import blobs

from headrace.settings import Settings
from headrace.state.ledger import Ledger, Version

SEED = 77


@pytest.fixture
def watched(after_first: Any) -> Settings:
    """The settings of the home."""
    return Settings(
        project=after_first.project, home=after_first.path, user="ada@lab"
    ).prepare_home()


@pytest.fixture
def version(watched: Settings) -> Version:
    return Ledger(watched.database_url).find("blobs")


@pytest.fixture
def write_window(tmp_path: Path) -> Callable[..., Path]:
    """Writes new blobs with their labels, perhaps changed, as an npz file."""

    def write(
        name: str, rows: int = 120, seed: int = SEED, shift: Any = None, wrong: int = 0
    ) -> Path:
        images, labels = blobs(rows, seed)
        labels[:wrong] = (labels[:wrong] + 1) % 3
        path = tmp_path / f"{name}.npz"
        np.savez(path, x_test=shift(images) if shift else images, y_test=labels)
        return path

    return write
