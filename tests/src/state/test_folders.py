"""Whose the entries of the store's folders are."""

import pytest

from headrace.state.folders import FOLDERS

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize("name", ["snapshots", "quarantine", "data_docs"])
def test_what_is_made_of_a_snapshot_is_named_by_it(name):
    folder = FOLDERS[name]
    assert folder.is_of(f"{DIGEST[:16]}-blobs.parquet", [DIGEST])
    assert not folder.is_of(f"{'f' * 16}-blobs.parquet", [DIGEST])
    assert not folder.is_of("index.html", [DIGEST])
    assert folder.is_list("index.html")


def test_what_is_of_a_model_is_named_by_its_file():
    assert FOLDERS["profiles"].is_of(f"{DIGEST}.npz", [DIGEST])
    assert FOLDERS["engines"].is_of(DIGEST, [DIGEST])
    assert not FOLDERS["engines"].is_of(DIGEST, ["f" * 64])


def test_what_is_of_a_pipeline_stays():
    kept = {folder.name for folder in FOLDERS.values() if not folder.is_collected}
    assert {"pipelines", "backfills", "corrections", "judged"} < kept
