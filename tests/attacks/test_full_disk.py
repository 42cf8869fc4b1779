"""Attack: the disk fills in the middle of a run."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time

import pytest
from tests.homes import Home

ENDS_WITHIN_SECONDS = 60.0  # once it is full, on a machine that is not busy
BUSY_FACTOR = 4


class SmallDisk:
    """A file system of its own, which can be filled and kept full."""

    def __init__(self, place):
        self.place = place
        self._filler = place / "filler"
        self._keeper = None
        self._is_released = threading.Event()

    def fill(self):
        """Leave no byte on it, nor let any be won back."""
        self._write()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _keep(self):
        while not self._is_released.wait(0.05):
            self._write()

    def _write(self):
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            for size in (2**20, 2**14, 2**12):
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size):
                        pass

    def release(self):
        """Make room again."""
        self._is_released.set()
        if self._keeper is not None:
            self._keeper.join()
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path):
    """64 MiB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip("a file system of its own needs root, and leave to mount")
    made = SmallDisk(place)
    yield made
    made.release()
    subprocess.run(["umount", "-l", str(place)], check=True)


def run_until_full(disk, home, trigger, *arguments):
    """Run; fill the disk when a line has the trigger.

    Returns:
        exit code, answer, log, and the seconds since the disk was full.
    """
    process = home.start("run", "blobs", "--json", *arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    log, filled = "", 0.0
    for line in process.stderr:
        log += line
        if not filled and trigger in line:
            disk.fill()
            filled = time.monotonic()
    out = process.stdout.read()
    code = process.wait(timeout=240)
    assert filled, log
    return code, json.loads(out), log, time.monotonic() - filled


def check(code, answer, log, seconds):
    assert code == 3, (answer, log)
    assert answer["status"] == "error"
    assert "disk is full" in answer["reason"], answer["reason"]
    assert "Make room" in answer["reason"]
    assert "Traceback" not in log
    assert seconds < ENDS_WITHIN_SECONDS * BUSY_FACTOR


@pytest.fixture
def small(disk, project):
    """A home on the small disk."""
    return Home(disk.place / "home", project)


def test_a_disk_that_fills_during_ingest_is_told_and_the_run_goes_on_later(disk, small):
    code, answer, log, seconds = run_until_full(disk, small, "ingest: ")
    check(code, answer, log, seconds)
    assert str(small.path) in answer["reason"]
    disk.release()
    process = small.start("run", "blobs", "--json")
    out, err = process.communicate(timeout=240)
    assert json.loads(out)["status"] == "promoted", err


def test_a_full_temporary_folder_is_told_as_such(disk, after_first, tmp_path):
    (disk.place / "used").write_bytes(b"\0" * 1024 * (64 * 1024 - 20))
    words = ("export", "blobs", "--format", "savedmodel", "--json", "--output")
    output = tmp_path / "exported"
    process = after_first.start(*words, output, TMPDIR=str(disk.place))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 3, err
    reason = json.loads(out)["reason"]
    assert reason.startswith(f"Writing to {disk.place}/"), reason
    assert "No space left on device (0 MiB free)" in reason
    assert "Make room or point TMPDIR elsewhere" in reason


def test_a_home_on_a_full_disk_can_be_read(disk, after_first):
    home = Home(disk.place / "home", after_first.project)
    shutil.copytree(after_first.path, home.path)
    assert home.headrace("verify").exit_code == 0, "MLflow learns of the new place"
    disk.fill()

    for words in (("list",), ("history", "blobs"), ("compare", "blobs"), ("verify",)):
        read = home.headrace(*words)
        assert read.exit_code == 0, read.err
    page = home.headrace("open")
    assert f"Writing to {home.path} failed" in page.err, page.err
    told = home.headrace("gc")
    assert told.exit_code == 3
    assert f"{home.path}/headrace.db cannot be written (0 MiB free)" in told.err

    shutil.rmtree(home.path / "store" / "data_docs")
    disk.release()
    assert home.headrace("gc").exit_code == 0
    assert home.headrace("verify").exit_code == 0
