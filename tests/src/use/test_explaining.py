"""What cannot be explained is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.errors import SourceError
from headrace.use.explaining import explain


@pytest.mark.parametrize(("rows", "count"), [(0, "no item"), (2, "more than one item")])
def test_a_source_has_one_item(
    _trained: Any, tmp_path: Path, rows: int, count: str
) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((rows, 8, 8), np.uint8))
    with pytest.raises(SourceError, match=rf"x.npz has {count}\."):
        explain("blobs", str(tmp_path / "x.npz"), _trained.settings)
