"""The archive of a bundle has regular files below one folder, and nothing else."""

import io
import tarfile
import tempfile
from pathlib import Path

import pytest

from headrace.errors import IntegrityError, UsageError
from headrace.evidence.bundling import archive
from headrace.evidence.bundling.archive import files_in, unpack, write_archive

FILES = {"b/two.json": b"{}\n", "a.txt": b"x" * 512, "empty": b""}


def written(files=FILES, top="digits-3"):
    stream = io.BytesIO()
    with tempfile.TemporaryDirectory() as place:
        for name, data in files.items():
            path = Path(place, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        write_archive(stream, top, Path(place))
    return stream.getvalue()


@pytest.fixture
def content(tmp_path):
    """The files of an archive, by name."""

    def read(data):
        file, place = tmp_path / "a.tar", tmp_path / "unpacked"
        file.write_bytes(data)
        place.mkdir(exist_ok=True)
        files = files_in(unpack(file, place))
        return {name: path.read_bytes() for name, path in files.items()}

    return read


def test_what_is_written_is_read_and_tar_reads_it_too(content):
    data = written()
    assert content(data) == FILES
    assert data == written(dict(reversed(FILES.items())))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = [f"digits-3/{name}" for name in sorted(FILES)]
        assert tar.getnames() == names
        assert all(member.isreg() and member.mtime == 0 for member in tar)


@pytest.mark.parametrize("length", [0, 1, 511, 700])
def test_an_archive_that_is_cut_off_in_a_file_is_refused(content, length):
    with pytest.raises(IntegrityError, match="not as Headrace wrote it"):
        content(written()[:length])


def tar_with(**values):
    """An archive of the library with one member of other kind."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("digits-3/a.txt")
        for name, value in values.items():
            setattr(info, name, value)
        tar.addfile(info, io.BytesIO(b"x" * info.size))
    return stream.getvalue()


@pytest.mark.parametrize(
    "values",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "other"},
        {"type": tarfile.DIRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.GNUTYPE_SPARSE},
        {"name": "digits-3/../../x"},
        {"name": "/digits-3/x"},
        {"name": "x"},
    ],
)
def test_other_members_are_refused(content, values):
    with pytest.raises(IntegrityError, match="not as Headrace wrote it"):
        content(tar_with(**values))


def test_a_file_of_another_kind_is_refused(content):
    for data in (b"PK\3\4" + bytes(600), b"\x1f\x8b" + bytes(600), b"a" * 4096):
        with pytest.raises(IntegrityError, match="not as Headrace wrote it"):
            content(data)


def test_too_many_files_are_refused(content, monkeypatch):
    monkeypatch.setattr(archive, "MOST_FILES", 2)
    with pytest.raises(IntegrityError, match="more than 2 files"):
        content(written())


def test_two_folders_are_refused(content):
    both = written({"a": b"1"})[:1024] + written({"a": b"2"}, "digits-4")
    with pytest.raises(IntegrityError, match="not below one folder"):
        content(both)


def test_a_name_that_the_format_cannot_hold_is_refused():
    with pytest.raises(UsageError, match="cannot be in a bundle"):
        written({"x" * 200: b""})
