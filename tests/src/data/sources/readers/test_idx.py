import bz2
import gzip
import lzma
import struct

import numpy as np
import pytest

from headrace.errors import SourceError
from headrace.media import chunks

IMAGES = "mnist/train-images-idx3-ubyte"
LABELS = "mnist/train-labels-idx1-ubyte"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_four_files_give_two_chunks(make, read, suffix):
    source, chunks = read(make.mnist(suffix=suffix))
    assert source.kind == "idx"
    assert source.findings == []
    by_split = {chunk.split: chunk for chunk in chunks}
    assert np.array_equal(by_split["train"].items, make.images[:4])
    assert np.array_equal(by_split["test"].items, make.images[4:])
    assert by_split["train"].labels == ["0", "1", "2", "0"]
    assert by_split["test"].names[1] == f"t10k-images-idx3-ubyte{suffix}[1]"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_large_files_come_in_parts(make, read, suffix, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 3)
    _, parts = read(make.mnist(suffix=suffix))
    assert [(part.split, part.labels) for part in parts] == [
        ("train", ["0", "1", "2"]),
        ("train", ["0"]),
        ("test", ["1", "2"]),
    ]
    assert np.array_equal(np.concatenate([p.items for p in parts]), make.images)
    assert parts[1].names == [f"train-images-idx3-ubyte{suffix}[3]"]


def test_the_magic_decides_not_the_suffix(make, read):
    folder = make.mnist()
    packed = gzip.compress((make.folder / IMAGES).read_bytes())
    make.file(IMAGES, packed)
    _, chunks = read(folder)
    assert sum(len(chunk.labels) for chunk in chunks) == 6


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_other_packed_files_are_read_too(make, read, pack):
    folder = make.mnist()
    make.file(IMAGES, pack((make.folder / IMAGES).read_bytes()))
    _, chunks = read(folder)
    assert np.array_equal(chunks[0].items, make.images[:4])


def test_dots_and_other_prefixes_in_names(make, read):
    make.idx("d/emnist-train-images.idx3-ubyte", make.images)
    make.idx("d/emnist-train-labels.idx1-ubyte", make.labels)
    _, (chunk,) = read(make.folder / "d")
    assert chunk.split == "train"


def test_plain_names_are_known_by_their_content(make, read):
    make.idx("d/train_images.bin", make.images)
    make.idx("d/train_labels.bin", make.labels)
    assert read(make.folder / "d")[0].kind == "idx"


def test_floats_are_big_endian(make, read):
    values = np.array([[[0.5, 1.0]], [[0.0, 0.25]]], ">f4")
    header = struct.pack(">BBBB3I", 0, 0, 0x0D, 3, 2, 1, 2)
    make.file(IMAGES, header + values.tobytes())
    make.idx(LABELS, make.labels[:2])
    _, (chunk,) = read(make.folder / "mnist")
    assert chunk.items.tolist() == [[[0.5, 1.0]], [[0.0, 0.25]]]


@pytest.mark.parametrize(
    "name", ["README.md", "SOURCE.md", ".DS_Store", "extra.bin", "mnist.npz"]
)
def test_other_files_beside_them_are_no_matter(make, read, name):
    folder = make.mnist()
    make.file(f"mnist/{name}", b"more")
    source, chunks = read(folder)
    assert source.findings == []
    assert sum(len(chunk.labels) for chunk in chunks) == 6


def test_train_comes_before_test(make, read):
    _, chunks = read(make.mnist())
    assert [chunk.split for chunk in chunks] == ["train", "test"]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_unlabelled_images_need_no_labels(make, read, suffix):
    make.idx(f"{IMAGES}{suffix}", make.images)
    _, (chunk,) = read(make.folder / "mnist", labelled=False)
    assert np.array_equal(chunk.items, make.images)
    assert chunk.labels == [""] * 6
    with pytest.raises(SourceError, match=r"the train labels are missing"):
        read(make.folder / "mnist")


def test_unlabelled_images_keep_the_labels_beside_them(make, read):
    make.mnist()
    (make.folder / LABELS).unlink()
    _, chunks = read(make.folder / "mnist", labelled=False)
    assert [chunk.labels for chunk in chunks] == [[""] * 4, ["1", "2"]]


def test_unlabelled_labels_still_need_their_images(make, read):
    make.idx(LABELS, make.labels)
    with pytest.raises(SourceError, match=r"the train images are missing"):
        read(make.folder / "mnist", labelled=False)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_one_unlabelled_file_of_images_is_enough(make, read, suffix):
    path = make.idx(f"{IMAGES}{suffix}", make.images)
    source, (chunk,) = read(path, labelled=False)
    assert source.kind == "idx"
    assert np.array_equal(chunk.items, make.images)
    assert chunk.names[5] == f"train-images-idx3-ubyte{suffix}[5]"
    with pytest.raises(SourceError, match=r"these look like labels"):
        read(make.idx(LABELS, make.labels), labelled=False)


def test_one_file_alone_asks_for_its_folder(make, read):
    make.mnist(suffix=".gz")
    with pytest.raises(SourceError, match=r"is one IDX file.* Give the folder"):
        read(make.folder / f"{IMAGES}.gz")


def test_a_missing_file_is_named(make, read):
    folder = make.mnist()
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(SourceError, match=r"t10k-images.*the test labels are missing"):
        read(folder)


def test_a_file_given_plain_and_packed_is_ambiguous(make, read):
    folder = make.mnist()
    make.idx(f"{IMAGES}.gz", make.images[:4])
    with pytest.raises(
        SourceError, match=r"train images twice: .*ubyte and .*ubyte.gz"
    ):
        read(folder)


def test_files_in_two_folders_are_ambiguous(make, read):
    make.mnist("both/a")
    make.mnist("both/b")
    with pytest.raises(SourceError, match=r"IDX files in 2 folders: a, b"):
        read(make.folder / "both")


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"", "begins with nothing"),
        (b"\x00\x00\x07\x03abc", "begins with 00 00 07 03"),
        (b"\x00\x00\x08\x09abc", "begins with 00 00 08 09"),
        (b"\x89PNG\r\n", "begins with 89 50 4e 47"),
        (b"\x00\x00\x08\x03\x00\x00", "cut short in its header of 16 bytes"),
    ],
)
def test_a_wrong_magic_is_shown(make, read, data, seen):
    folder = make.mnist()
    make.file(IMAGES, data)
    with pytest.raises(SourceError, match=f"ubyte.* {seen}"):
        read(folder)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (b"+", r"\(4, 4, 3\) of uint8, which is 48 bytes, but at least 49 .*left over"),
        (b"", "47 .*cut short"),
    ],
)
def test_the_size_must_be_what_the_header_says(make, read, suffix, change, seen):
    folder = make.mnist(suffix=suffix)
    body = make.images[:4].tobytes()
    data = body + change if change else body[:-1]
    make.idx(f"{IMAGES}{suffix}", make.images[:4], data=data)
    with pytest.raises(SourceError, match=seen):
        read(folder)


def test_a_header_that_claims_terabytes_allocates_nothing(make, read):
    folder = make.mnist(suffix=".gz")
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**10, 2**10)
    make.file(f"{IMAGES}.gz", gzip.compress(header + bytes(99)))
    with pytest.raises(SourceError, match=r"2,147,483,648 items, but .* 4 labels"):
        read(folder)
    with pytest.raises(SourceError, match=r"2,251,799,813,685,248 bytes, but 99 follo"):
        read(folder / f"{IMAGES.rpartition('/')[2]}.gz", labelled=False)


def test_a_gzip_cut_short_anywhere_is_refused(make, read):
    folder = make.mnist(suffix=".gz")
    whole = (make.folder / f"{IMAGES}.gz").read_bytes()
    for count in range(2, len(whole), len(whole) // 12):
        make.file(f"{IMAGES}.gz", whole[:count])
        with pytest.raises(SourceError, match=r"train-images.* damaged or cut short"):
            read(folder)


def test_a_changed_byte_fails_the_gzip_checksum(make, read):
    folder = make.mnist(suffix=".gz")
    path = make.folder / f"{IMAGES}.gz"
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"CRC check failed"):
        read(folder)


def test_counts_that_differ_are_both_named(make, read):
    folder = make.mnist()
    make.idx(LABELS, make.labels)
    with pytest.raises(
        SourceError, match=r"ubyte has 4 items, but .*ubyte has 6 labels"
    ):
        read(folder)


def test_swapped_files_are_told_apart(make, read):
    folder = make.mnist()
    make.idx(IMAGES, make.labels[:4])
    make.idx(LABELS, make.images[:4])
    with pytest.raises(
        SourceError, match=r"train-images.* holds labels \(shape \(4,\)\)"
    ):
        read(folder)


def test_images_as_labels_are_told_apart(make, read):
    folder = make.mnist()
    make.idx(LABELS, make.images[:4])
    with pytest.raises(SourceError, match=r"train-labels.* holds images"):
        read(folder)
