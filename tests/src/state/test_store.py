"""Bytes are written whole or not at all."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headrace.errors import DependencyError, UsageError
from headrace.state.disk import disk_errors
from headrace.state.processes import this_process
from headrace.state.remote import ask
from headrace.state.store import Store
from headrace.state.temporary import work_prefix


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def files_of(store):
    """Every file below the store, hidden ones too."""
    root = Path(store.root)
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*"))


def test_a_file_in_the_place_of_a_folder_is_absence_until_something_is_written(store):
    root = Path(store.root)
    root.parent.mkdir(exist_ok=True)
    for place, action in ((root, store.names), (root / "models", store.exists)):
        place.write_bytes(b"no folder")
        assert not action("models/a/b")
        assert store.read_json("models/a/b") is None
        store.delete("models/a/b")
        with pytest.raises(UsageError, match=r"cannot be written.*Move it away"):
            store.write("models/a/b", b"")
        place.unlink()
        root.mkdir(exist_ok=True)


def test_what_is_written_is_read(store):
    assert not store.exists("a/b")
    assert store.write("a/b", b"\x00\xff") == str(Path(store.root) / "a/b")
    assert store.exists("a/b")
    assert store.read("a/b") == b"\x00\xff"
    store.write("a/b", b"new")
    assert store.read("a/b") == b"new"
    assert files_of(store) == ["a", "a/b"]


def test_json_that_is_absent_or_damaged_is_none(store):
    assert store.read_json("x.json") is None
    store.write_json("x.json", {"b": 1, "a": [2]})
    assert store.read_json("x.json") == {"a": [2], "b": 1}
    store.write("x.json", b'{"a": ')
    assert store.read_json("x.json") is None


def test_a_remote_store_works_alike():
    store = Store("memory://somewhere/store")
    assert store.uri("k") == "memory:///somewhere/store/k"
    store.write_json("k", 1)
    assert store.read_json("k") == 1
    with store.new_folder("folder", "marker") as folder:
        (folder / "marker").write_text("m")
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("f")
    assert store.read("folder/sub/file") == b"f"
    assert store.read("folder/marker") == b"m"


def test_a_folder_appears_when_it_is_whole(store):
    with store.new_folder("snapshots/x", "marker") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("content")
        (folder / "marker").write_text("whole")
        assert not store.exists("snapshots/x")
    assert files_of(store) == [
        "snapshots",
        "snapshots/x",
        "snapshots/x/marker",
        "snapshots/x/sub",
        "snapshots/x/sub/file",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_folder_interrupted_half_way_leaves_nothing(store, error):
    with pytest.raises(error), store.new_folder("snapshots/x", "marker") as folder:
        (folder / "file").write_text("half")
        raise error
    assert files_of(store) == ["snapshots"]


def test_the_first_of_two_equal_folders_stays(store):
    for content in ("first", "second"):
        with store.new_folder("x", "marker") as folder:
            (folder / "marker").write_text(content)
    assert store.read("x/marker") == b"first"
    assert files_of(store) == ["x", "x/marker"]


def test_the_work_of_a_process_that_was_killed_is_swept_away(store):
    code = (
        "import os, signal, sys; from headrace.state.store import Store\n"
        "with Store(sys.argv[1]).work_folder('snapshots') as work:\n"
        "    (work / 'big').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, store.root], check=False)
    assert any(name.endswith("/big") for name in files_of(store))
    with store.work_folder("snapshots") as ours, store.work_folder("snapshots"):
        assert ours.is_dir()
        assert not any(name.endswith("/big") for name in files_of(store))
    assert files_of(store) == ["snapshots"]


def test_a_process_with_the_number_of_the_killed_one_does_not_keep_its_work(
    store, monkeypatch
):
    earlier = this_process()._replace(started="an earlier boot-17")
    with monkeypatch.context() as patched:
        patched.setattr("headrace.state.temporary.this_process", lambda: earlier)
        left = Path(store.root) / f"{work_prefix()}abc"
    left.mkdir(parents=True)
    with store.work_folder("x"):
        assert left.is_dir(), "another folder is not looked at"
    with store.new_folder("x", "marker") as folder:
        (folder / "marker").touch()
    assert not left.exists()


def test_a_write_interrupted_half_way_leaves_the_old_content(store, monkeypatch):
    store.write("key", b"old")

    def interrupt(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write("key", b"new")
    assert store.read("key") == b"old"
    assert files_of(store) == ["key"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 128 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    if (
        os.geteuid()
        or subprocess.run(command, check=False, capture_output=True).returncode
    ):
        pytest.skip("mounting a small disk needs root and the right to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_leaves_nothing(small_disk):
    store = Store(str(small_disk / "store"))
    store.write("small", b"fits")
    full = r"Writing to .*store failed: No space left on device \(\d+ MiB free\)"
    with pytest.raises(DependencyError, match=full):
        store.write("big", bytes(200_000))
    with (
        pytest.raises(DependencyError, match=full),
        store.new_folder("folder", "marker") as folder,
    ):
        (folder / "marker").write_bytes(bytes(200_000))
    assert files_of(store) == ["small"]


def test_an_error_that_is_not_the_disks_stays_what_it_is():
    with pytest.raises(FileNotFoundError), disk_errors("/somewhere"):
        raise FileNotFoundError(2, "gone")


class Answers:
    """A remote call that fails so many times, then answers."""

    def __init__(self, *errors):
        self.errors = [*errors]
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def of_s3(code, status, kind=OSError):
    """An error as s3fs raises it."""
    error, cause = kind(code), Exception(code)
    metadata = {"HTTPStatusCode": status}
    cause.response = {"Error": {"Code": code}, "ResponseMetadata": metadata}
    error.__cause__ = cause
    return error


@pytest.fixture
def pauses(monkeypatch):
    """The pauses between calls; none of them is waited for."""
    made = []
    mine, sleep = threading.get_ident(), time.sleep

    def pause(seconds):
        if threading.get_ident() == mine:
            made.append(seconds)
        else:  # of a library
            sleep(seconds)

    monkeypatch.setattr("headrace.state.remote.time.sleep", pause)
    return made


@pytest.mark.parametrize(
    "error",
    [
        of_s3("SlowDown", 503),
        of_s3("InternalError", 500),
        of_s3("502", 502),
        ConnectionResetError("reset"),
        TimeoutError(),
    ],
)
def test_a_remote_call_is_made_again_where_that_may_help(error, pauses):
    call = Answers(*[error] * 8)
    assert ask("s3://b/k", call) == "answer"
    assert len(pauses) == 8
    assert pauses[0] < 0.3
    assert 3 < pauses[-1] <= 8


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (of_s3("NoSuchKey", 404, FileNotFoundError), FileNotFoundError, "NoSuchKey"),
        (of_s3("NoSuchBucket", 404, FileNotFoundError), UsageError, "bucket 'b'"),
        (of_s3("AccessDenied", 403, PermissionError), UsageError, "AWS_ACCESS_KEY_ID"),
        (of_s3("PreconditionFailed", 412), FileExistsError, "s3://b/k"),
        (of_s3("PermanentRedirect", 301), UsageError, "AWS_ENDPOINT_URL"),
        (ValueError("Invalid endpoint: x"), UsageError, "Invalid endpoint: x"),
        (KeyError("a fault of ours"), KeyError, "a fault of ours"),
    ],
)
def test_a_remote_call_is_not_made_again_where_that_helps_nobody(
    error, kind, told, pauses
):
    call = Answers(error)
    with pytest.raises(kind, match=told):
        ask("s3://b/k", call)
    assert (call.calls, pauses) == (1, [])


def test_a_store_that_stays_away_is_named(monkeypatch, pauses):
    monkeypatch.setattr("headrace.state.remote.LIMIT_SECONDS", 3.0)
    call = Answers(*[of_s3("SlowDown", 503)] * 99)
    with pytest.raises(DependencyError, match=r"s3://b/k .*503 SlowDown") as caught:
        ask("s3://b/k", call)
    assert caught.value.was_retried
    assert 1 < call.calls < 10


@pytest.fixture
def silent(monkeypatch):
    """The address of a server that takes connections, and nothing that is sent."""
    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(
            "AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}"
        )
        yield


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has TCP_USER_TIMEOUT"
)
@pytest.mark.timeout(120)
def test_a_large_write_that_nobody_takes_ends(silent, monkeypatch):
    """By itself, the kernel tries for a quarter of an hour."""
    pytest.importorskip("s3fs")
    monkeypatch.setattr("headrace.state.remote.READ_SECONDS", 1)
    monkeypatch.setattr("headrace.state.remote.LIMIT_SECONDS", 3.0)
    started = time.monotonic()
    with pytest.raises(DependencyError, match="no answer"):
        Store("s3://silent/store").write("large", bytes(64 * 2**20))
    assert time.monotonic() - started < 60


def test_an_unknown_protocol_is_told():
    with pytest.raises(UsageError, match="nowhere://x"):
        Store("nowhere://x/y")
