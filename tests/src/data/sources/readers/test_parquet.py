import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import SourceError
from headrace.media import chunks


def _write(make, file="data.parquet", /, metadata=None, **columns):
    path = make.folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, metadata=metadata), path)
    return path


def test_encoded_images(make, read):
    source, (chunk,) = read(_write(make, image=[b"one", b"two"], label=["a", "b"]))
    assert source.kind == "table"
    assert chunk.split is None
    assert chunk.items == [b"one", b"two"]
    assert chunk.labels == ["a", "b"]
    assert chunk.names == ["data.parquet row 1", "data.parquet row 2"]


def test_hugging_face_images(make, read):
    cells = [{"bytes": b"one", "path": "x.png"}, {"bytes": None, "path": "y.png"}]
    _, (chunk,) = read(_write(make, image=cells, label=[7, 8]))
    assert chunk.items == [b"one", b""]
    assert chunk.labels == ["7", "8"]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.uint8()), pa.list_(pa.uint8(), 12), pa.large_list(pa.int64())]
)
def test_lists_of_values_are_flat_rows(make, read, kind):
    flat = make.images.reshape(6, 12)
    cells = pa.array(flat.tolist(), kind)
    _, (chunk,) = read(_write(make, pixels=cells, label=make.labels))
    assert np.array_equal(chunk.items, flat)


def test_fixed_size_bytes_with_a_shape_in_the_schema(make, read):
    cells = pa.array([image.tobytes() for image in make.images], pa.binary(12))
    _, (flat,) = read(_write(make, image=cells, label=make.labels))
    assert flat.items.shape == (6, 12)
    path = _write(
        make, image=cells, label=make.labels, metadata={"headrace.shape": "4x3x1"}
    )
    _, (shaped,) = read(path)
    assert np.array_equal(shaped.items[..., 0], make.images)


def test_the_scale_of_a_split_is_of_all_its_values(make, read):
    for part in (0, 1):
        _write(make, f"t/{part}.parquet", image=[[0.5], [1.0 + part]], label=[0, 1])
    _write(make, "t/test.parquet", image=[[0.25], [0.5]], label=[0, 1])
    _, parts = read(make.folder / "t")
    assert [part.items.tolist() for part in parts] == [
        [[0.5], [1.0]],
        [[0.5], [2.0]],
        [[0.25], [0.5]],
    ]
    assert [(part.split, part.high) for part in parts] == [
        (None, 2.0),
        (None, 2.0),
        ("test", 0.5),
    ]
    assert parts[1].names[0] == "1.parquet row 1"


def test_the_split_column_decides(make, read):
    path = _write(
        make,
        image=[b"a", b"b", b"c"],
        label=[0, 1, 2],
        split=["test", "train", "validation"],
    )
    _, chunks = read(path)
    assert [(chunk.split, chunk.labels) for chunk in chunks] == [
        ("test", ["0"]),
        ("train", ["1"]),
        ("val", ["2"]),
    ]


def test_else_the_file_name_decides(make, read):
    for name in ("train-00000-of-00001", "test-00000-of-00001"):
        _write(make, f"t/{name}.parquet", image=[b"a"], label=[0])
    _, chunks = read(make.folder / "t")
    assert {chunk.split for chunk in chunks} == {"train", "test"}


def test_names_of_the_table_are_kept(make, read):
    _, (chunk,) = read(_write(make, image=[b"a"], label=[0], name=["x_train[3]"]))
    assert chunk.names == ["x_train[3]"]


def test_categories_and_missing_labels(make, read):
    labels = pa.array(["a", None, "b"]).dictionary_encode()
    _, (chunk,) = read(_write(make, image=[b"1", b"2", b"3"], label=labels))
    assert chunk.labels == ["a", "", "b"]
    numbers = pa.array([1, None, 3])
    _, (chunk,) = read(_write(make, image=[b"1", b"2", b"3"], label=numbers))
    assert chunk.labels == ["1", "", "3"]


@pytest.mark.parametrize(
    ("columns", "seen"),
    [
        ({"image": [b"a"]}, r"has no column `label`; it has image \(binary\)"),
        ({"label": [1], "width": [2]}, "has no column of items"),
        ({"a": [b"1"], "b": [b"2"], "label": [1]}, "could be the items: a, b"),
        (
            {"image": [b"a"] * 3, "label": [1.0, None, 1.5]},
            r"data.parquet row 3, column label is 1.5, which is no label",
        ),
        ({"image": [b"a"], "label": [1], "split": ["hold"]}, "has the split 'hold'"),
        (
            {"image": [[1, 2], [1]], "label": [0, 1]},
            r"parquet row 2 has 1 values, .*row 1 has 2",
        ),
        ({"image": [[1, 2], None], "label": [0, 1]}, r"parquet row 2 is empty"),
    ],
)
def test_a_table_that_cannot_be_rows_is_refused(make, read, columns, seen):
    with pytest.raises(SourceError, match=seen):
        read(_write(make, **columns))


def test_tables_of_different_shapes_are_refused(make, read):
    _write(make, "t/0.parquet", image=[[1, 2]], label=[0])
    _write(make, "t/1.parquet", image=[[1, 2, 3]], label=[0])
    with pytest.raises(
        SourceError, match=r"different forms: .*\(2,\) at 0.*\(3,\) at 1"
    ):
        read(make.folder / "t")


def test_floats_beside_whole_numbers_are_refused(make, read):
    _write(make, "t/0.parquet", image=[[1, 2]], label=[0])
    _write(make, "t/1.parquet", image=[[1.0, 2.0]], label=[0])
    with pytest.raises(SourceError, match=r"whole numbers of .* at 0.*floats of"):
        read(make.folder / "t")


def test_a_wrong_shape_in_the_schema_is_refused(make, read):
    cells = pa.array([b"ab"], pa.binary(2))
    path = _write(make, image=cells, label=[0], metadata={"headrace.shape": "2xb"})
    with pytest.raises(SourceError, match=r"have the shape b'2xb'"):
        read(path)


@pytest.mark.parametrize("shape", ["3x1", "-1x-2", "0x2"])
def test_a_shape_that_does_not_fit_is_refused(make, read, shape):
    cells = pa.array([b"ab"], pa.binary(2))
    path = _write(make, image=cells, label=[0], metadata={"headrace.shape": shape})
    with pytest.raises(SourceError, match=f"have the shape {shape}, but .* 2 values"):
        read(path)


def test_a_file_cut_short_is_refused(make, read):
    whole = _write(make, image=[b"a" * 99, b"b" * 99], label=[0, 1]).read_bytes()
    for count in range(4, len(whole), len(whole) // 12):
        with pytest.raises(SourceError, match=r"cut.parquet is a damaged Parquet file"):
            read(make.file("cut.parquet", whole[:count]))


def test_a_column_that_unpacks_to_more_than_the_limit_is_refused(make, read):
    path = _write(make, image=[bytes(2**20)] * 20, label=[0] * 20)
    with pytest.raises(SourceError, match=r"the limit is 999"):
        read(path, max_bytes=999)


def test_an_unlabelled_table_needs_no_labels(make, read):
    path = make.folder / "a.parquet"
    pq.write_table(pa.table({"image": [b"one", b"two"], "name": ["a", "b"]}), path)
    _, (chunk,) = read(path, labelled=False)
    assert (chunk.items, chunk.labels, chunk.names) == (
        [b"one", b"two"],
        ["", ""],
        ["a", "b"],
    )


def test_an_unlabelled_table_keeps_its_order_and_the_labels_it_has(make, read):
    path = make.folder / "a.parquet"
    columns = {
        "image": [b"one", b"two", b"three"],
        "label": ["a", None, "b"],
        "split": ["test", "train", "test"],
    }
    pq.write_table(pa.table(columns), path)
    _, (chunk,) = read(path, labelled=False)
    assert chunk.items == [b"one", b"two", b"three"]
    assert chunk.labels == ["a", "", "b"]


@pytest.mark.parametrize("kind", [pa.uint8(), pa.float32()])
def test_values_are_read_batch_by_batch(make, read, kind):
    path = make.folder / "a.parquet"
    values = [[row % 256, 1] for row in range(3000)]
    pq.write_table(pa.table({"image": pa.array(values, pa.list_(kind))}), path)
    _, parts = read(path, labelled=False)
    assert [len(part.items) for part in parts] == [2048, 952]
    assert np.concatenate([part.items for part in parts]).tolist() == values
    assert {part.high for part in parts} == {None if kind == pa.uint8() else 255}


def test_a_row_of_known_width_decides_how_many_are_read(make, read, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 30)
    cells = pa.array([image.tobytes() for image in make.images], pa.binary(12))
    _, parts = read(_write(make, image=cells, label=make.labels))
    assert [len(part.items) for part in parts] == [2, 2, 2]


def test_an_unlabelled_table_still_needs_items(make, read):
    path = make.folder / "a.parquet"
    pq.write_table(pa.table({"label": [1, 2]}), path)
    with pytest.raises(SourceError, match=r"no column of items.* one column of items"):
        read(path, labelled=False)
