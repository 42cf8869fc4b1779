"""Bytes are written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import DependencyError
from headrace.store import Store, disk_errors


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def files_of(store: Store) -> list[str]:
    """Every file below the store, hidden ones too."""
    root = Path(store.root)
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*"))


def test_what_is_written_is_read(store: Store) -> None:
    assert not store.exists("a/b")
    assert store.write("a/b", b"\x00\xff") == str(Path(store.root) / "a/b")
    assert store.exists("a/b")
    assert store.read("a/b") == b"\x00\xff"
    store.write("a/b", b"new")
    assert store.read("a/b") == b"new"
    assert files_of(store) == ["a", "a/b"]


def test_json_that_is_absent_or_damaged_is_none(store: Store) -> None:
    assert store.read_json("x.json") is None
    store.write_json("x.json", {"b": 1, "a": [2]})
    assert store.read_json("x.json") == {"a": [2], "b": 1}
    store.write("x.json", b'{"a": ')
    assert store.read_json("x.json") is None


def test_a_remote_store_works_alike() -> None:
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


def test_a_folder_appears_when_it_is_whole(store: Store) -> None:
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
def test_a_folder_interrupted_half_way_leaves_nothing(
    store: Store, error: type[BaseException]
) -> None:
    with pytest.raises(error), store.new_folder("snapshots/x", "marker") as folder:
        (folder / "file").write_text("half")
        raise error
    assert files_of(store) == ["snapshots"]


def test_the_first_of_two_equal_folders_stays(store: Store) -> None:
    for content in ("first", "second"):
        with store.new_folder("x", "marker") as folder:
            (folder / "marker").write_text(content)
    assert store.read("x/marker") == b"first"
    assert files_of(store) == ["x", "x/marker"]


def test_the_work_of_a_process_that_was_killed_is_swept_away(store: Store) -> None:
    code = (
        "import os, signal, sys; from headrace.store import Store\n"
        "with Store(sys.argv[1]).work_folder('snapshots') as work:\n"
        "    (work / 'big').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, store.root], check=False)
    assert any(name.endswith("/big") for name in files_of(store))
    with store.work_folder("snapshots") as ours, store.work_folder("snapshots"):
        assert ours.is_dir()
        assert not any(name.endswith("/big") for name in files_of(store))
    assert files_of(store) == ["snapshots"]


def test_a_write_interrupted_half_way_leaves_the_old_content(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("key", b"old")

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write("key", b"new")
    assert store.read("key") == b"old"
    assert files_of(store) == ["key"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
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


def test_a_full_disk_is_named_and_leaves_nothing(small_disk: Path) -> None:
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


def test_an_error_that_is_not_the_disks_stays_what_it_is() -> None:
    with pytest.raises(FileNotFoundError), disk_errors("/somewhere"):
        raise FileNotFoundError(2, "gone")


def test_a_folder_without_its_marker_is_replaced(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for text in ("old", "new"):
        with store.new_folder("made", "whole") as folder:
            (folder / "whole").write_text(text)
        (tmp_path / "store" / "made" / "whole").unlink()
    with store.new_folder("made", "whole") as folder:
        (folder / "whole").write_text("last")
    assert store.read("made/whole") == b"last"


def test_what_is_deleted_is_gone_and_may_be_deleted_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.write("key", b"x")
    store.delete("key")
    store.delete("key")
    assert not store.exists("key")
