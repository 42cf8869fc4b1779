import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from headrace.data.sources.places.archive import unpacked
from headrace.data.sources.places.files import in_memory
from headrace.errors import LimitError, SourceError
from headrace.settings import Settings

TAR_MODES = ["w", "w:gz", "w:bz2", "w:xz"]


def _link(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (mode | 0o777) << 16
    return info


def _entry(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def _rows(chunks):
    return sorted(
        (chunk.split, label, name, item)
        for chunk in chunks
        for label, name, item in zip(
            chunk.labels, chunk.names, chunk.items, strict=True
        )
    )


def test_a_zip_reads_as_its_folder(make, read):
    members = make.members("train/") | make.members("test/")
    _, expected = read(make.tree(members))
    source, chunks = read(make.zip(members))
    assert source.kind == "folder"
    assert source.findings == []
    assert _rows(chunks) == _rows(expected)


@pytest.mark.parametrize("mode", TAR_MODES)
def test_a_tar_reads_as_its_folder(make, read, mode):
    _, expected = read(make.tree(make.members()))
    _, chunks = read(make.tar(make.members(), mode, "data.bin"))
    assert _rows(chunks) == _rows(expected)


def test_idx_files_are_found_in_archives(make, read):
    folder = make.mnist(suffix=".gz")
    members = {f"raw/{path.name}": path.read_bytes() for path in folder.iterdir()}
    for path in (make.zip(members), make.tar(members, "w:gz")):
        source, chunks = read(path)
        assert source.kind == "idx"
        assert sum(len(chunk.labels) for chunk in chunks) == 6


def test_tables_are_found_in_archives(make, read):
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [b"a", b"b"], "label": [0, 1]}), buffer)
    source, (chunk,) = read(make.zip({"train-0.parquet": buffer.getvalue()}))
    assert source.kind == "table"
    assert (chunk.split, chunk.items) == ("train", [b"a", b"b"])


def test_a_leading_dot_and_folders_are_no_matter(make, read):
    folder = _entry("./0", tarfile.DIRTYPE)
    members = {folder: b""} | make.members("./")
    assert _rows(read(make.tar(members))[1]) == _rows(read(make.zip(make.members()))[1])


def test_utf8_names_without_the_flag_are_read(make, read):
    data = bytearray(make.zip({"ÄÖ/1.png": b"x"}).read_bytes())
    struct.pack_into("<H", data, 6, 0)
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 8, 0)
    _, (chunk,) = read(make.file("data.zip", bytes(data)))
    assert chunk.labels == ["ÄÖ"]


HOSTILE_NAMES = [
    ("../0/1.png", "leaves its folder"),
    ("0/../../1.png", "leaves its folder"),
    ("/etc/passwd", "an absolute path"),
    ("C:/0/1.png", "a path with a drive letter"),
    ("0\\1.png", "a backslash"),
    ("0/a\nb.png", "a control character"),
    ("0/" + "n" * 2000, "a name of 2,002 characters"),
]


@pytest.mark.parametrize(("name", "seen"), HOSTILE_NAMES)
def test_hostile_names_refuse_a_zip(make, read, name, seen):
    with pytest.raises(SourceError, match=seen):
        read(make.zip(make.members() | {name: b"x"}))


@pytest.mark.parametrize(("name", "seen"), HOSTILE_NAMES)
def test_hostile_names_refuse_a_tar(make, read, name, seen):
    with pytest.raises(SourceError, match=seen):
        read(make.tar(make.members() | {name: b"x"}))


def test_a_nul_in_a_zip_name_is_refused(make, read):
    data = make.zip({"0/1_png": b"x"}).read_bytes().replace(b"0/1_png", b"0/1\0png")
    with pytest.raises(SourceError, match=r"a control character"):
        read(make.file("data.zip", data))


def test_names_that_are_not_utf8_are_refused(make, read):
    data = make.zip({"0/1_png": b"x"}).read_bytes().replace(b"0/1_", b"0/1\xff")
    with pytest.raises(SourceError, match=r"a name that is not UTF-8"):
        read(make.file("data.zip", data))
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", encoding="latin-1", format=tarfile.GNU_FORMAT
    ) as archive:
        archive.addfile(tarfile.TarInfo("0/\xff.png"))
    data = buffer.getvalue()
    with pytest.raises(SourceError, match=r"a name that is not UTF-8"):
        read(make.file("data.tar", data))


@pytest.mark.parametrize(
    ("mode", "seen"),
    [(stat.S_IFLNK, "is a symbolic link"), (stat.S_IFIFO, "is a special file")],
)
def test_special_members_refuse_a_zip(make, read, mode, seen):
    with pytest.raises(SourceError, match=f"0/link {seen}"):
        read(make.zip({_link("0/link", mode): b"/etc/passwd"} | make.members()))


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a special file"),
        (tarfile.BLKTYPE, "a special file"),
        (tarfile.FIFOTYPE, "a special file"),
    ],
)
def test_special_members_refuse_a_tar(make, read, kind, seen):
    with pytest.raises(SourceError, match=f"0/link is {seen}"):
        read(make.tar({_entry("0/link", kind, "../../etc/passwd"): b""}))


def test_an_encrypted_member_refuses_a_zip(make, read):
    data = bytearray(make.zip({"0/1.png": b"x"}).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(SourceError, match=r"0/1.png is encrypted"):
        read(make.file("data.zip", bytes(data)))


def test_a_repeated_member_refuses_an_archive(make, read):
    twice = {zipfile.ZipInfo("0/1.png"): b"a", zipfile.ZipInfo("0//1.png"): b"b"}
    with pytest.raises(SourceError, match=r"'0/1.png' more than once"):
        read(make.zip(twice))
    with pytest.raises(SourceError, match=r"'0/1.png' more than once"):
        read(make.tar({"0/1.png": b"a", "./0/1.png": b"b"}))


def test_a_bomb_is_refused_before_it_is_unpacked(make, read):
    bomb = {f"0/{n}.png": bytes(2**20) for n in range(17)}
    for path in (make.zip(bomb), make.tar(bomb, "w:gz"), make.tar(bomb, "w:bz2")):
        with pytest.raises(LimitError, match=r"unpacks to .*the limit is 16,777,216"):
            read(path, max_bytes=2**24)
        with pytest.raises(SourceError, match=r"0/0.png has 1,048,576 bytes; one item"):
            read(path, max_file_bytes=2**19)


def test_a_name_of_gigabytes_is_not_read(make, read):
    info = tarfile.TarInfo("0/1.png")
    info.pax_headers = {"comment": "x" * 2**22}
    with pytest.raises(LimitError, match=r"asks for over 2,097,152 bytes in one piece"):
        read(make.tar({info: b""}, "w:gz"), max_file_bytes=2**20)


def test_the_limits_of_the_settings_are_kept(make, read):
    for path in (make.zip(make.members()), make.tar(make.members())):
        with pytest.raises(SourceError, match=r"over 5 files"):
            read(path, max_members=5)
        with pytest.raises(SourceError, match=r"the limit is 99"):
            read(path, max_bytes=99)


def test_archives_in_archives_are_not_opened(make, read):
    inner = make.zip(make.members()).read_bytes()
    source, (chunk,) = read(make.zip(make.members() | {"more.zip": inner}))
    assert len(chunk.labels) == 6
    assert [(f.check, f.count) for f in source.findings] == [("ignored_files", 1)]


def test_a_zip_cut_short_anywhere_is_refused(make, read):
    whole = make.zip(make.members()).read_bytes()
    for count in range(4, len(whole), len(whole) // 12):
        with pytest.raises(SourceError, match=r"cut.zip begins as a zip .* cut short"):
            read(make.file("cut.zip", whole[:count]))


def test_a_changed_byte_fails_the_checksum_of_a_zip(make, read):
    data = bytearray(make.zip({"0/1.png": b"0123456789"}).read_bytes())
    data[30 + len("0/1.png") + 4] ^= 1
    with pytest.raises(SourceError, match=r"0/1.png is damaged"):
        read(make.file("data.zip", bytes(data)))


@pytest.mark.parametrize("mode", TAR_MODES)
def test_a_tar_cut_short_anywhere_is_refused(make, read, mode):
    rng = np.random.default_rng(0)
    members = {f"0/{n}.png": rng.bytes(2000) for n in range(6)}
    whole = make.tar(members, mode).read_bytes()
    end = len(whole) if mode != "w" else 6 * (512 + 2048)
    for count in range(600, end, end // 12):
        with pytest.raises(SourceError, match=r"cut.tar.* (cut short|damaged)"):
            read(make.file("cut.tar", whole[:count]))


def test_a_damaged_header_in_a_tar_is_not_taken_for_its_end(make, read):
    data = bytearray(make.tar({"0/1.png": b"a", "0/2.png": b"b"}).read_bytes())
    data[1024 + 150] ^= 1
    with pytest.raises(SourceError, match=r"damaged at byte 1,024, after 1 members"):
        read(make.file("data.tar", bytes(data)))


def test_a_packed_tar_with_a_wrong_checksum_is_refused(make, read):
    data = bytearray(make.tar(make.members(), "w:gz").read_bytes())
    data[-8] ^= 1
    with pytest.raises(SourceError, match=r"CRC check failed"):
        read(make.file("data.tgz", bytes(data)))


def test_an_archive_with_nothing_in_it(make, read):
    with pytest.raises(SourceError, match=r"holds no files"):
        read(make.zip({}))


def test_a_gzip_of_something_else_is_shown(make, read):
    path = make.file("data.gz", gzip.compress(b"hello, world"))
    with pytest.raises(SourceError, match=r"no known format.* unpacked b'hello, w'"):
        read(path)


def test_an_unknown_compression_in_a_zip_is_refused(make, read):
    data = bytearray(make.zip({"0/1.png": b"x"}).read_bytes())
    struct.pack_into("<H", data, 8, 99)
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 10, 99)
    with pytest.raises(SourceError, match=r"0/1.png is packed by method 99"):
        read(make.file("data.zip", bytes(data)))


TEXT = b"a line, and another one\n" * 20_000


def _xz(data):
    return lzma.compress(data)


def _read(data):
    with unpacked(in_memory("a.xz", data), Settings()).open() as stream:
        return stream.read()


def test_streams_of_an_xz_file_follow_each_other():
    assert _read(_xz(TEXT)) == TEXT
    assert _read(_xz(TEXT) + _xz(b"more")) == TEXT + b"more"


def test_places_of_an_xz_file_are_found_again():
    with unpacked(in_memory("a.xz", _xz(TEXT)), Settings()).open() as stream:
        for place in (300_000, 70, 70, 0, 123_456):
            assert stream.seek(place) == place
            assert stream.read(30) == TEXT[place : place + 30]
        assert stream.seek(10**6) == len(TEXT)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_xz(TEXT)[:-9], "is damaged or cut short: Compressed file ended before"),
        (_xz(TEXT) + bytes(8) + _xz(b"more"), "is damaged or cut short: Input format"),
        (_xz(TEXT)[:20] + bytes(20) + _xz(TEXT)[40:], "is damaged or cut short"),
    ],
)
def test_a_damaged_xz_file_is_refused(data, reason):
    with pytest.raises(SourceError, match=reason):
        _read(data)
