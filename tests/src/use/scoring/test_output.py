"""An output is written whole where it may be, and never over the input."""

import errno
import os
from pathlib import Path

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.src.use.scoring.conftest import X, left_in, png

from headrace.errors import DependencyError, UsageError
from headrace.state import disk


def test_csv_and_parquet_say_the_same(score, folder, out):
    record, table = score(folder)
    again, text = score(folder, out / "scores.csv")
    assert again.data_digest == record.data_digest
    assert list(text.columns) == list(table.columns)
    text["label"] = [None if pd.isna(v) else str(int(v)) for v in text["label"]]
    for name in table.columns:
        if name.startswith("probability"):
            assert text[name].astype("float32").equals(table[name]), name
        else:
            said = table[name].astype(object).where(table[name].notna(), None)
            read_back = text[name].astype(object).where(text[name].notna(), None)
            assert read_back.tolist() == said.tolist(), name


def test_an_output_of_yesterday_is_replaced(score, arrays, out):
    (out / "scores.csv").write_text("of yesterday")
    assert len(score(arrays, out / "scores.csv")[1]) == 40
    assert left_in(out) == ["scores.csv"]


@pytest.mark.parametrize(
    ("output", "seen"),
    [
        ("out/scores.txt", r"scores.txt is neither .csv nor .parquet"),
        ("out/csv", r"csv is neither .csv nor .parquet"),
        ("nowhere/scores.csv", r"folder .*nowhere does not exist"),
        ("out/folder.csv", r"folder.csv is a folder"),
        ("images/scores.csv", r"lies inside the input"),
        ("images", r"neither .csv nor .parquet"),
        ("nothing://scores.csv", r"neither a path nor a known URI"),
    ],
)
def test_a_place_that_is_no_output_is_refused(
    score, folder, out, tmp_path, output, seen
):
    (out / "folder.csv").mkdir()
    place = output if "://" in output else tmp_path / output
    with pytest.raises(UsageError, match=seen):
        score(folder, place)


def test_the_input_is_never_written_to(score, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [png(X[0])]}), path)
    before = path.read_bytes()
    (tmp_path / "b.parquet").symlink_to(path)
    for output in (path, tmp_path / "b.parquet", f"file://{path}"):
        with pytest.raises(UsageError, match=r"lies inside the input"):
            score(path, output)
    assert path.read_bytes() == before


def test_a_folder_that_may_not_be_written_to(score, arrays, out, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out)
    with pytest.raises(UsageError, match=r"out does not exist or cannot be written"):
        score(arrays)


def test_a_full_disk_leaves_no_output(score, arrays, out, monkeypatch):
    def full(path):
        if path.parent != out:
            return
        text = "Error writing bytes to file. Detail: [errno 28] No space left on device"
        raise OSError(errno.ENOSPC, text)

    monkeypatch.setattr(disk, "fsync_path", full)
    told = rf"Writing to {out} failed: No space left on device .*another place for the "
    with pytest.raises(DependencyError, match=told):
        score(arrays)
    assert left_in(out) == []


def test_input_and_output_may_be_behind_uris(score, arrays):
    memory = fsspec.filesystem("memory")
    root = f"/{arrays.parent.name}"
    memory.pipe_file(f"{root}/x.npz", arrays.read_bytes())
    _, rows = score(f"memory:/{root}/x.npz", f"memory:/{root}/scores.csv")
    assert len(rows) == 40
    names = [Path(path).name for path in memory.ls(root, detail=False)]
    assert sorted(names) == ["scores.csv", "x.npz"]
    with pytest.raises(UsageError, match=r"lies inside the input"):
        score(f"memory:/{root}", f"memory:/{root}/scores.csv")
    memory.rm(root, recursive=True)


def test_an_output_that_cannot_be_reached_can_be_tried_again(
    score, arrays, monkeypatch
):
    memory = fsspec.filesystem("memory")

    def unreachable(*_, **__):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(type(memory), "put_file", unreachable)
    with pytest.raises(DependencyError, match=r"RuntimeError: no route to host"):
        score(arrays, "memory://far/scores.csv")
    assert memory.find("/far") == []
