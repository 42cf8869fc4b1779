import pickle
import tracemalloc

import numpy as np
import pytest

from headrace.data.sources.opening import open_source
from headrace.errors import SourceError
from headrace.media import chunks


def test_keras_layout_gives_a_chunk_a_split(make, read):
    path = make.npz(
        x_train=make.images[:4],
        y_train=make.labels[:4],
        x_test=make.images[4:],
        y_test=make.labels[4:],
    )
    source, (train, test) = read(path)
    assert source.kind == "npz"
    assert source.findings == []
    assert (train.split, test.split) == ("train", "test")
    assert np.array_equal(train.items, make.images[:4])
    assert test.labels == ["1", "2"]
    assert test.names == ["x_test[0]", "x_test[1]"]


@pytest.mark.parametrize("names", [("x", "y"), ("X", "y"), ("images", "labels")])
def test_pairs_without_a_split(make, read, names):
    path = make.npz(**dict(zip(names, (make.images, make.labels), strict=True)))
    _, (chunk,) = read(path)
    assert chunk.split is None
    assert chunk.labels == ["0", "1", "2", "0", "1", "2"]
    assert chunk.names[5] == f"{names[0]}[5]"


def test_a_validation_pair_is_a_split(make, read):
    path = make.npz(
        x_train=make.images, y_train=make.labels, x_val=make.images, y_val=make.labels
    )
    _, chunks = read(path)
    assert [chunk.split for chunk in chunks] == ["train", "val"]


def test_fortran_order_is_understood(make, read):
    path = make.npz(x=np.asfortranarray(make.images), y=make.labels)
    _, (chunk,) = read(path)
    assert np.array_equal(chunk.items, make.images)


def test_a_large_array_comes_in_parts(make, read, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 4)
    for order in (np.ascontiguousarray, np.asfortranarray):
        hot = order(np.eye(3)[make.labels])
        _, parts = read(make.npz(x=order(make.images), y=hot))
        assert [part.items.shape for part in parts] == [(4, 4, 3), (2, 4, 3)]
        assert np.array_equal(np.concatenate([p.items for p in parts]), make.images)
        assert [part.labels for part in parts] == [["0", "1", "2", "0"], ["1", "2"]]
        assert [part.names[0] for part in parts] == ["x[0]", "x[4]"]
        assert [(part.array, part.high) for part in parts] == [("x", None)] * 2


def test_parts_of_floats_know_the_greatest_value_of_all(make, read, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2 * 4 * 3 * 4)
    images = (make.images / 255).astype(np.float32)
    images[5, 0, 0], images[4, 0, 0], images[3, 0, 0] = 77, np.inf, np.nan
    _, parts = read(make.npz(x=images, y=make.labels))
    assert [(len(part.items), part.high) for part in parts] == [(2, 77)] * 3


def test_no_more_than_a_part_is_held(make, settings, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2**20)
    values = np.random.default_rng(0).integers(0, 256, (20_000, 28, 28), np.uint8)
    path = make.npz(x=values, y=np.zeros(20_000, int))
    with open_source(str(path), settings) as source:
        tracemalloc.start()
        rows = sum(len(chunk.items) for chunk in source.chunks)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert rows == 20_000
    assert peak < 6 * 2**20


def test_a_large_array_in_fortran_order_is_refused_unread(make, read):
    header = {"descr": "|u1", "fortran_order": True, "shape": (2**20, 28, 28)}
    with pytest.raises(SourceError, match=r"822,083,584 bytes in Fortran order"):
        read(make.npy(header, b""), labelled=False)


def test_the_suffix_does_not_matter(make, read):
    path = make.npz("data.bin", x=make.images, y=make.labels)
    assert read(path)[0].kind == "npz"


def test_other_arrays_are_reported(make, read):
    source, _ = read(make.npz(x=make.images, y=make.labels, seed=np.array(1)))
    assert [(f.check, f.count) for f in source.findings] == [("ignored_files", 1)]
    assert "seed.npy" in source.findings[0].message


def test_a_missing_array_is_named(make, read):
    path = make.npz(x_train=make.images, y_train=make.labels, x_test=make.images)
    with pytest.raises(SourceError, match=r"has no array 'y_test'; it holds x_test, x"):
        read(path)


def test_labels_alone_lack_their_items(make, read):
    with pytest.raises(SourceError, match=r"has no array 'x'"):
        read(make.npz(y=make.labels))


def test_unknown_names_are_listed(make, read):
    with pytest.raises(SourceError, match=r"has no items; it holds arr_0\. Name"):
        read(make.npz(arr_0=make.images))


def test_values_of_no_bytes_are_refused(make, read):
    header = {"descr": "|S0", "fortran_order": False, "shape": (2, 4)}
    with pytest.raises(SourceError, match=r"x.npy holds values of no bytes"):
        read(make.npy(header, b""))


def test_python_objects_are_refused_unread(make, read):
    path = make.npz(x=np.array([{}, {}], dtype=object), y=make.labels)
    with pytest.raises(SourceError, match=r"x.npy holds Python objects \(pickle\)"):
        read(path)


def test_a_pickle_named_npz_is_refused(make, read):
    path = make.file("data.npz", pickle.dumps({"x": 1}))
    with pytest.raises(SourceError, match=r"is a Python pickle, which is never loaded"):
        read(path)


def test_a_lone_array_says_what_else_is_needed(make, read, tmp_path):
    np.save(tmp_path / "x.npy", make.images)
    with pytest.raises(SourceError, match=r"is one array \(npy\), and labels are"):
        read(tmp_path / "x.npy")


def test_a_header_that_claims_terabytes_allocates_nothing(make, read):
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 28, 28)}
    with pytest.raises(
        SourceError, match=r"x has 1,000,000,000,000 items, but y has 2"
    ):
        read(make.npy(header, b"x" * 9))


@pytest.mark.parametrize(
    ("data", "seen"),
    [(b"x" * 23, "1 bytes missing"), (b"x" * 25, "1 bytes left over")],
)
def test_a_size_that_the_header_does_not_say(make, read, data, seen):
    header = {"descr": "|u1", "fortran_order": False, "shape": (2, 4, 3)}
    with pytest.raises(SourceError, match=seen):
        read(make.npy(header, data))


@pytest.mark.parametrize("shape", [(-2, 4, -3), (-2, 4, 3), (2, -4, 3)])
def test_a_negative_size_is_refused(make, read, shape):
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with pytest.raises(SourceError) as refused:
        read(make.npy(header, b"x" * 24))
    assert f"says shape {shape}, which has a negative size" in str(refused.value)


def test_a_member_that_is_no_array(make, read):
    with pytest.raises(SourceError, match=r"x.npy is not a readable array"):
        read(make.zip({"x.npy": b"hello, world", "y.npy": b""}, "data.npz"))


def test_a_file_cut_short_anywhere_is_refused(make, read):
    whole = make.npz(x=make.images, y=make.labels).read_bytes()
    for count in range(4, len(whole), len(whole) // 12):
        path = make.file("cut.npz", whole[:count])
        with pytest.raises(SourceError, match=r"cut.npz .* cut short"):
            read(path)


def test_a_changed_byte_fails_the_checksum(make, read):
    data = bytearray(make.npz(x=make.images, y=make.labels).read_bytes())
    data[data.index(make.images.tobytes()) + 5] ^= 1
    with pytest.raises(SourceError, match=r"x.npy is damaged .* Bad CRC-32"):
        read(make.file("data.npz", bytes(data)))


def test_counts_that_differ_are_both_named(make, read):
    path = make.npz(x_train=make.images, y_train=make.labels[:5])
    with pytest.raises(SourceError, match=r"x_train has 6 items, but y_train has 5"):
        read(path)


def test_labels_where_the_items_should_be(make, read):
    path = make.npz(x=make.labels, y=make.images)
    with pytest.raises(SourceError, match=r"x has shape \(6,\).* look like labels"):
        read(path)


def test_items_where_the_labels_should_be(make, read):
    path = make.npz(x=make.images, y=make.images)
    with pytest.raises(
        SourceError, match=r"y has rows of shape \(4, 3\).* looks like items"
    ):
        read(path)


def test_no_rows_are_refused(make, read):
    path = make.npz(x=make.images[:0], y=make.labels[:0])
    with pytest.raises(SourceError, match=r"x holds no items"):
        read(path)


def test_items_that_hold_nothing_are_refused(make, read):
    path = make.npz(x=make.images[:, :0], y=make.labels)
    with pytest.raises(SourceError, match=r"\(6, 0, 3\): its items hold nothing"):
        read(path)


@pytest.mark.parametrize("name", ["x", "X", "images", "x_test", "train_images", "any"])
def test_unlabelled_items_need_no_labels(make, read, name):
    source, (chunk,) = read(make.npz(**{name: make.images}), labelled=False)
    assert source.kind == "npz"
    assert np.array_equal(chunk.items, make.images)
    assert chunk.labels == [""] * 6
    assert chunk.names[5] == f"{name}[5]"


def test_unlabelled_arrays_are_all_read_train_first_with_the_labels_they_have(
    make, read
):
    path = make.npz(
        images=make.images[:1],
        x_test=make.images[:2],
        y_test=make.labels[:2],
        x_train=make.images[:3],
        seed=np.array(1),
    )
    source, chunks = read(path, labelled=False)
    assert [chunk.names[0] for chunk in chunks] == [
        "x_train[0]",
        "x_test[0]",
        "images[0]",
    ]
    assert [chunk.labels for chunk in chunks] == [[""] * 3, ["0", "1"], [""]]
    assert [f.count for f in source.findings] == [1]


def test_unlabelled_arrays_of_unknown_names_are_listed(make, read):
    path = make.npz(a=make.images, b=make.images)
    with pytest.raises(SourceError, match=r"known by its name; it holds a, b"):
        read(path, labelled=False)


def test_a_lone_unlabelled_array_is_enough(make, read, tmp_path):
    np.save(tmp_path / "x.npy", make.images)
    source, (chunk,) = read(tmp_path / "x.npy", labelled=False)
    assert source.kind == "npy"
    assert np.array_equal(chunk.items, make.images)
    assert (chunk.names[5], chunk.labels[5]) == ("x.npy[5]", "")
    np.save(tmp_path / "y.npy", make.labels)
    with pytest.raises(SourceError, match=r"these look like labels"):
        read(tmp_path / "y.npy", labelled=False)
