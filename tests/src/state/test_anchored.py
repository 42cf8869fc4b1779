"""A file of the store counts as the ledger recorded it, or not at all."""

from pathlib import Path

import pytest
from tests.anchoring import anchored_at

from headrace.errors import DependencyError, UsageError
from headrace.records import Finding


@pytest.fixture
def kept(tmp_path):
    return anchored_at(tmp_path / "store")


def test_what_was_written_is_read(kept):
    uri = kept.write("a/b.bin", b"one")
    assert Path(uri).read_bytes() == b"one"
    assert kept.read("a/b.bin") == b"one"
    kept.write_json("c.json", {"x": [1, None]})
    assert kept.read_json("c.json") == {"x": [1, None]}


def test_what_somebody_else_wrote_is_absent(kept, caplog):
    uri = Path(kept.write("a.json", b"{}"))
    uri.write_bytes(b"[]")
    assert kept.read("a.json") is None
    assert f"{uri} is not the file that the ledger recorded" in caplog.text
    uri.with_name("b.json").write_bytes(b"{}")
    assert kept.read_json("b.json") is None
    assert "b.json is not in the ledger: it is ignored" in caplog.text
    assert kept.read("never.json") is None


def test_an_older_file_of_the_same_key_is_absent(kept):
    uri = Path(kept.write("a", b"one"))
    kept.write("a", b"two")
    uri.write_bytes(b"one")
    assert kept.read("a") is None
    kept.delete("a")
    uri.write_bytes(b"two")
    assert kept.read("a") is None


def test_a_record_of_another_form_is_absent(kept):
    kept.write_json("a.json", {"check": "leak", "count": "many", "message": 1})
    assert kept.read_record("a.json", Finding) is None
    kept.write_json("a.json", {"check": "leak", "count": 2, "message": "two"})
    found = kept.read_record("a.json", Finding)
    assert found == Finding(check="leak", count=2, message="two")
    kept.write("a.json", b"[" * 100_000)
    assert kept.read_json("a.json") is None
    assert kept.read_record("a.json", Finding) is None


def test_a_write_that_is_cut_off_leaves_what_is_absent(kept, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kept.store, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            kept.write("a", b"one")
    assert kept.read("a") is None
    kept.write("a", b"one")
    assert kept.read("a") == b"one"


def test_without_the_ledger_nothing_is_written(kept, monkeypatch):
    def gone(*_):
        raise DependencyError("The ledger did not answer.")

    monkeypatch.setattr(kept.ledger.files, "anchor", gone)
    with pytest.raises(DependencyError, match="did not answer"):
        kept.write("a", b"one")
    assert not kept.store.exists("a")


def test_a_folder_in_the_place_of_a_file_is_told_in_one_sentence(kept):
    Path(kept.store.root, "a.json").mkdir()
    assert kept.read("a.json") is None
    with pytest.raises(UsageError, match=r"a\.json cannot be written: Is a directory"):
        kept.write("a.json", b"{}")
