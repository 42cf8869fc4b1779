import lzma

import pytest

from headrace.data.sources.places.files import in_memory
from headrace.data.sources.places.packed import unpacked
from headrace.errors import SourceError
from headrace.settings import Settings

TEXT = b"a line, and another one\n" * 20_000
LARGE = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 * 2**20}]


def _xz(data, filters=None):
    packer = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=filters)
    return packer.compress(data) + packer.flush()


def _read(data):
    with unpacked(in_memory("a.xz", data), Settings()).open() as stream:
        return stream.read()


def test_streams_of_an_xz_file_follow_each_other():
    assert _read(_xz(TEXT)) == TEXT
    assert _read(_xz(TEXT) + bytes(8) + _xz(b"more") + bytes(70_000)) == TEXT + b"more"


def test_places_of_an_xz_file_are_found_again():
    with unpacked(in_memory("a.xz", _xz(TEXT)), Settings()).open() as stream:
        for place in (300_000, 70, 70, 0, 123_456):
            assert stream.seek(place) == place
            assert stream.read(30) == TEXT[place : place + 30]
        assert stream.seek(10**6) == len(TEXT)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_xz(TEXT)[:-9], "is damaged or cut short: the end of its stream is missing"),
        (_xz(TEXT) + b"more", "is damaged or cut short"),
        (_xz(TEXT, LARGE), "takes over 268,435,456 bytes of memory"),
        (_xz(TEXT) + _xz(TEXT, LARGE), "takes over 268,435,456 bytes of memory"),
    ],
)
def test_a_damaged_xz_file_and_one_that_takes_much_memory_are_refused(data, reason):
    with pytest.raises(SourceError, match=reason):
        _read(data)
