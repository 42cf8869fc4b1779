"""The limit on an item that decides which items are in a snapshot."""

import pytest

from headrace.pipeline import DataSpec
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.state.store import Store

LONG = 300


@pytest.fixture
def texts(tmp_path):
    """Thirty short texts and ten long ones, of two labels."""
    lines = ["label,text"]
    for row in range(40):
        words = "long " * (LONG // 5) if row % 4 == 0 else "short"
        lines.append(f"{'ab'[row % 2]},{words}{row}")
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(lines))
    return path


def ingested(source, stated=None):
    settings = Settings(project=source.parent)
    data = DataSpec(source=str(source), max_item_bytes=stated)
    return ingest(data, "text", Store(str(source.parent / "store")), settings)


def test_the_files_limit_sets_larger_items_aside(texts):
    assert ingested(texts, 100).rejected == 10
    assert ingested(texts, 10_000).rejected == 0


def test_no_variable_chooses_items(texts, monkeypatch):
    usual = ingested(texts)
    for name in ("MAX_ITEM_BYTES", "MAX_COLUMNS", "MAX_MEDIA_RATIO"):
        monkeypatch.setenv(f"HEADRACE_{name}", "2")
    assert ingested(texts) == usual
