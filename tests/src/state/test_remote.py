"""Which URIs are paths, as fsspec would read them."""

import subprocess
import sys

import pytest

from headrace.errors import UsageError
from headrace.state.remote import connect, local_path
from headrace.state.store import Store

PATHS = [
    *("/data", "/data/", "/a//b", "/data:x/1", "/", "data", "./data", "../data", "."),
    *("~", "~/data", "a b/ü", "/data#x?y=1"),
]
OTHERS = ["s3://bucket/a", "file:///data", "file:data", "data:,x", "zip::file:///a.zip"]


@pytest.mark.parametrize("uri", PATHS)
def test_a_path_is_what_fsspec_makes_of_it(uri):
    assert local_path(uri) == (connect(uri, attempts=1)[1].rstrip("/") or "/")


@pytest.mark.parametrize("uri", OTHERS)
def test_what_may_have_a_protocol_is_left_to_fsspec(uri):
    assert local_path(uri) is None


def test_a_store_of_a_path_and_of_its_uri_are_the_same(tmp_path):
    by_path, by_uri = Store(str(tmp_path)), Store(f"file://{tmp_path}")
    assert by_path.is_local
    assert by_uri.is_local
    uri = by_path.write("a/b.json", b"1")
    assert uri == by_uri.uri("a/b.json")
    assert by_uri.read("a/b.json") == b"1"
    assert [store.exists("a/b.json") for store in (by_path, by_uri)] == [True, True]
    assert [store.exists("a/c.json") for store in (by_path, by_uri)] == [False, False]
    (tmp_path / "link").symlink_to("nowhere")
    for store in (by_path, by_uri):
        assert not store.exists("link")
        assert not store.exists("a/b.json/c"), "whoever writes there is told"
        with pytest.raises(FileNotFoundError):
            store.read("a")


def test_what_holds_a_credential_is_no_store():
    with pytest.raises(UsageError, match="credential"):
        Store("https://user:secret@example.org/store")


def test_a_local_store_is_read_without_fsspec(tmp_path):
    code = (
        "import sys; from headrace.state.store import Store;"
        "store = Store(sys.argv[1]); store.write('a', b'1'); store.read('a');"
        "sys.exit('fsspec' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, check=True)


def test_a_file_where_the_store_has_to_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(str(tmp_path / "file" / "store"))
    with pytest.raises(UsageError, match=r"cannot be written: .*/file\)"):
        store.write("a", b"1")
    with (
        pytest.raises(UsageError, match=r"cannot be written: .*/file\)"),
        store.work_folder("snapshots"),
    ):
        pass


def test_a_broken_link_in_the_place_of_a_folder_is_deleted(tmp_path):
    link = tmp_path / "snapshots"
    link.symlink_to(tmp_path / "nowhere")
    store = Store(str(tmp_path))
    store.delete_folder("snapshots")
    store.delete_folder("snapshots")  # it is not there, and that is no error
    assert not link.is_symlink()
