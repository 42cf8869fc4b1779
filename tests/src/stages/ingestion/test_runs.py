"""Much data goes through many runs and shards, in little memory and on little disk."""

import gc
import shutil
import subprocess
import time
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from tests.src.stages.ingestion.conftest import (
    X,
    Y,
    png,
    read_items,
    write_npz,
    write_pngs,
)

from headrace.data.snapshots.reading import check_snapshot, shards_of
from headrace.data.snapshots.splits import read_split
from headrace.errors import DependencyError
from headrace.media.interface import digests
from headrace.pipeline import DataSpec
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.stages.pieces import Workers
from headrace.state.store import Store


@pytest.fixture
def small_parts(monkeypatch):
    """Makes little data much: many parts, runs and shards, in several processes."""
    monkeypatch.setattr("headrace.stages.pieces.HERE_SECONDS", 0)
    monkeypatch.setattr("headrace.media.chunks.CHUNK_ROWS", 7)
    monkeypatch.setattr("headrace.stages.ingestion.runs.RUN_BYTES", 200)
    monkeypatch.setattr("headrace.data.snapshots.writing.ROWS_PER_SHARD", 20)


def _rows_of(record):
    items = read_items(record, ["item", "split", "label", "image"])
    rows = items.to_pylist()
    return rows


@pytest.mark.system
@pytest.mark.parametrize("form", ["split", "one", "files", "mixed", "declared"])
def test_much_data_becomes_the_same_snapshot_in_many_parts(
    run, tmp_path, form, request
):
    declared = {"shape": (4, 5, 3)} if form == "declared" else {}
    if form == "split":
        source = write_npz(tmp_path / "a.npz", (X / 255).astype(np.float32))
    elif form == "one":
        source = tmp_path / "a.npz"
        np.savez(source, x=np.repeat(X[:60], 2, axis=0), y=np.array(["a", "", "b"])[Y])
    else:
        source = write_pngs(tmp_path / "pngs")
        colours = np.random.default_rng(0).integers(0, 256, (30, 4, 5, 3), np.uint8)
        if form == "mixed":
            colours = colours[..., :1].repeat(3, axis=3)
            colours[7, 0, 0] = (1, 2, 3)
        for row, image in enumerate(colours):
            (source / "train" / "1" / f"c{row}.png").write_bytes(png(image))
        (source / "train" / "0" / "bad.png").write_bytes(b"x")
    expected = run(source, **declared)
    shutil.rmtree(expected.uri)
    request.getfixturevalue("small_parts")
    record = run(source, **declared)
    sums = {"manifest_sha256": expected.manifest_sha256}  # of other files, perhaps
    assert record.model_copy(update=sums) == expected
    check_snapshot(record)
    assert len(shards_of(record)) >= 4
    sha = [row["item"] for row in _rows_of(record)]
    assert sha == sorted(sha)


def test_equal_items_are_in_one_shard(run, tmp_path, small_parts):
    np.savez(tmp_path / "a.npz", x_train=X * 0, y_train=Y, x_test=X[:1], y_test=Y[:1])
    record = run(tmp_path / "a.npz")
    rows = [shard.rows for shard in shards_of(record)]
    assert sorted(rows) in ([0] * 6 + [1, 120], [0] * 7 + [121])
    assert len(read_split(record, "train")[0]) == 114
    assert len(read_split(record, "val")[0]) == 6


def test_items_are_worked_on_in_several_processes(
    run, tmp_path, small_parts, monkeypatch
):
    others, here = Workers._others, []

    def wait_for_others(workers, work):
        while (awake := others(workers, work)) is None:
            time.sleep(0.01)
        return awake

    def counted(payload, module):
        here.append(len(payload))
        return digests(payload, module)

    monkeypatch.setattr("headrace.stages.pieces.processors", lambda: 2)
    monkeypatch.setattr(Workers, "_others", wait_for_others)
    monkeypatch.setattr("headrace.stages.ingestion.runs.digests", counted)
    assert sum(run(write_npz(tmp_path / "a.npz")).rows.values()) == 120
    assert sum(here) < 120


@pytest.mark.system
def test_memory_does_not_grow_with_the_data(run, tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.media.chunks.CHUNK_BYTES", 2**20)
    monkeypatch.setattr("headrace.stages.ingestion.runs.RUN_BYTES", 2**20)
    monkeypatch.setattr("headrace.data.snapshots.writing.BYTES_PER_SHARD", 2**20)
    monkeypatch.setattr("headrace.stages.pieces.HERE_SECONDS", 600)
    x = np.random.default_rng(0).integers(0, 256, (40_000, 28, 28), np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40_000) % 10)
    del x
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    peaks = []
    monkeypatch.setattr(
        "headrace.display.progress.Progress.update",
        lambda *_: peaks.append(pa.total_allocated_bytes() - before),
    )
    record = run(tmp_path / "a.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(shards_of(record)) == 32
    assert peak < 12 * 2**20
    assert max(peaks) < 12 * 2**20


@pytest.mark.system
@pytest.mark.parametrize("size", ["64k", "200k", "450k", "800k"])
@pytest.mark.parametrize("parts", ["few", "many"])
def test_a_disk_that_fills_up_leaves_nothing(tmp_path, size, parts, request):
    if parts == "many":
        request.getfixturevalue("small_parts")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root and the right to mount")
    x = np.random.default_rng(8).integers(0, 256, (120, 60, 60), np.uint8)
    data = DataSpec(source=str(write_npz(tmp_path / "a.npz", x)))
    try:
        with pytest.raises(DependencyError, match=r"No space left on device \(\d+ MiB"):
            ingest(data, "image", Store(str(place)), Settings(project=tmp_path))
        assert [path.name for path in place.rglob("*")] == ["snapshots"]
    finally:
        gc.collect()  # the error's traceback, whose frames hold a mapped file
        subprocess.run(["umount", str(place)], check=True)
