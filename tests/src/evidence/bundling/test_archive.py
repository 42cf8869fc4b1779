"""The archive of a bundle: one form only, of which every byte counts."""

import io
import tarfile

import pytest

from headrace.errors import IntegrityError, UsageError
from headrace.evidence.bundling.archive import read_archive, write_archive

FILES = {"b/two.json": b"{}\n", "a.txt": b"x" * 512, "empty": b""}


def written(files=FILES, folder="digits-3"):
    stream = io.BytesIO()
    write_archive(stream, folder, files)
    return stream.getvalue()


def content(data):
    return {m.name: m.read(1024) for m in read_archive(io.BytesIO(data))}


def test_what_is_written_is_read_and_tar_reads_it_too():
    data = written()
    assert content(data) == FILES
    assert data == written(dict(reversed(FILES.items())))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = [f"digits-3/{name}" for name in sorted(FILES)]
        assert tar.getnames() == names
        assert all(member.isreg() and member.mtime == 0 for member in tar)


def test_members_that_are_not_read_are_skipped_and_hashed():
    members = list(read_archive(io.BytesIO(written())))
    assert [(m.name, m.size) for m in members] == [
        ("a.txt", 512),
        ("b/two.json", 3),
        ("empty", 0),
    ]
    assert all(len(m.sha256) == 64 for m in members)


def test_every_byte_outside_of_the_files_counts():
    """Those of headers, of padding and of the end; content is compared by digest."""
    data = written()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        try:
            found = content(bytes(changed))
        except IntegrityError:
            continue
        assert found != FILES, place


@pytest.mark.parametrize("length", [0, 1, 511, 512, 700, 1024, -1, -512, -1024])
def test_an_archive_that_lost_its_end_is_refused(length):
    with pytest.raises(IntegrityError, match="not as Headrace wrote it"):
        content(written()[:length])


def test_bytes_after_the_end_are_refused():
    with pytest.raises(IntegrityError, match="after its end"):
        content(written() + b"\0")


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
        {"name": "digits-3/../../x"},
        {"name": "/digits-3/x"},
        {"name": "x"},
        {"mode": 0o4755},
        {"uid": 5},
        {"mtime": 9},
    ],
)
def test_other_members_are_refused(values):
    with pytest.raises(IntegrityError, match="not as Headrace wrote it"):
        content(tar_with(**values))


def test_a_file_of_another_kind_is_refused():
    for data in (b"PK\3\4" + bytes(600), b"\x1f\x8b" + bytes(600), b"a" * 4096):
        with pytest.raises(IntegrityError, match="the header at its beginning"):
            content(data)


def test_a_member_that_is_too_large_to_parse_is_refused():
    members = read_archive(io.BytesIO(written({"manifest.json": b"x" * 2000})))
    with pytest.raises(IntegrityError, match="has 2,000 bytes; at most 1,024"):
        next(members).read(1024)


def test_a_name_that_the_format_cannot_hold_is_refused():
    with pytest.raises(UsageError, match="cannot be in a bundle"):
        written({"x" * 300: b""})
