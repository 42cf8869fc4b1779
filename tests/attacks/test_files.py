"""Attack: files that lie about their parts, and reads that outlast their command."""

import tarfile
import zipfile

import pytest

from headrace.data.sources.opening import open_source
from headrace.errors import SourceError
from headrace.media.chunks import Reading
from headrace.settings import Settings


def refused(path, medium="image"):
    with pytest.raises(SourceError) as raised:
        with open_source(
            str(path), Settings(project=path.parent), Reading(medium=medium)
        ) as source:
            list(source.chunks)
    return str(raised.value)


@pytest.mark.parametrize("name", ["", "\0a/x.png"], ids=["empty", "null"])
def test_a_member_without_a_name_refuses_a_zip(name, tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/0.png", b"x")
        info = zipfile.ZipInfo("name")
        info.filename = name
        archive.writestr(info, b"y")
    assert "without a name" in refused(path)


def test_a_length_in_a_tar_that_no_place_can_have_is_damage(tmp_path):
    path = tmp_path / "data.tar"
    record = b"99999999999999999999 path=x\n"
    info = tarfile.TarInfo("header")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    member = tarfile.TarInfo("a/0.png").tobuf(tarfile.USTAR_FORMAT)
    header = info.tobuf(tarfile.USTAR_FORMAT)
    path.write_bytes(header + record.ljust(512, b"\0") + member + bytes(10_240))
    assert "data.tar is damaged" in refused(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_is_unpacked_only_where_that_can_be_done_in_parts(method, tmp_path):
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a/0.png", b"x")
    assert "data.zip: a/0.png is packed by" in refused(path)
