"""A limit of the settings that decides which items are in a snapshot is recorded."""

import pytest

from headrace.settings import DEFAULT_ITEM_BYTES, Settings
from headrace.spec import DataSpec
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


def ingested(source, limit=DEFAULT_ITEM_BYTES, stated=None):
    settings = Settings(project=source.parent, max_item_bytes=limit)
    data = DataSpec(source=str(source), max_item_bytes=stated)
    return ingest(data, "text", Store(str(source.parent / "store")), settings)


def test_a_limit_that_sets_items_aside_is_in_the_record(texts):
    record = ingested(texts, 100)
    assert (record.rejected, record.limits) == (10, {"max_item_bytes": 100})
    (finding,) = [finding for finding in record.findings if finding.check == "limit"]
    assert finding.count == 10
    assert "HEADRACE_MAX_ITEM_BYTES is 100" in finding.message
    assert "data.max_item_bytes" in finding.message


@pytest.mark.parametrize("limit", [DEFAULT_ITEM_BYTES, 10_000])
def test_a_limit_that_decides_on_no_item_is_not(texts, limit):
    record = ingested(texts, limit)
    assert (record.rejected, record.limits) == (0, {})
    assert "limit" not in {finding.check for finding in record.findings}
    assert "limits" not in record.model_dump()


def test_a_limit_that_takes_what_the_default_rejects_is_in_the_record(
    texts, monkeypatch
):
    monkeypatch.setattr("headrace.data.decoding.DEFAULT_ITEM_BYTES", 100)
    record = ingested(texts, 10_000)
    assert (record.rejected, record.limits) == (0, {"max_item_bytes": 10_000})


def test_a_limit_of_the_file_is_law_whatever_the_settings_say(texts):
    stated = ingested(texts, stated=100)
    assert (stated.rejected, stated.limits) == (10, {})
    assert ingested(texts, 50, stated=100) == stated
