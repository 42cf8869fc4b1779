"""A pipeline's folder in the store, and back."""

from pathlib import Path

import pytest

from headrace.errors import IntegrityError, NotFoundError
from headrace.state.packing import pack_folder, pipeline_files, unpack_folder
from headrace.state.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "digits"
    made.mkdir()
    (made / "pipeline.toml").write_text('medium = "image"\n')
    (made / "model.py").write_text("def build(data): ...\n")
    (made / "README.md").write_bytes(b"caf\xe9, which is no UTF-8\n")
    (made / "data.npz").write_bytes(b"large")
    (made / "below").mkdir()
    (made / "below" / "more.py").write_text("")
    return made


def test_what_comes_back_is_what_went_in_and_no_data(folder, store, tmp_path):
    back = unpack_folder(pack_folder(folder, store), store, tmp_path / "work")
    assert pipeline_files(back) == pipeline_files(folder)
    assert sorted(path.name for path in back.iterdir()) == [
        "README.md",
        "model.py",
        "pipeline.toml",
    ]


def test_an_edit_is_another_digest_and_both_can_be_had(folder, store, tmp_path):
    before = pack_folder(folder, store)
    (folder / "model.py").write_text("def build(data): return 1\n")
    after = pack_folder(folder, store)
    assert before != after
    old = unpack_folder(before, store, tmp_path / "work")
    new = unpack_folder(after, store, tmp_path / "work")
    assert (old / "model.py").read_text() == "def build(data): ...\n"
    assert (new / "model.py").read_text() == "def build(data): return 1\n"


def test_changed_bytes_in_the_store_are_refused_and_nothing_is_written(
    folder, store, tmp_path
):
    digest = pack_folder(folder, store)
    path = Path(store.path(f"folders/{digest}.json"))
    path.write_bytes(path.read_bytes().replace(b"def build", b"def bui1d"))
    with pytest.raises(IntegrityError, match="changed or damaged"):
        unpack_folder(digest, store, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_folder_that_was_edited_on_the_worker_is_brought_back_anew(
    folder, store, tmp_path
):
    digest = pack_folder(folder, store)
    back = unpack_folder(digest, store, tmp_path / "work")
    (back / "model.py").write_text("import os\n")
    (back / "extra.py").write_text("")
    again = unpack_folder(digest, store, tmp_path / "work")
    assert again == back
    assert pipeline_files(again) == pipeline_files(folder)


def test_another_store_says_what_to_do(store, tmp_path):
    with pytest.raises(NotFoundError, match="HEADRACE_STORE"):
        unpack_folder("0" * 64, store, tmp_path)
