import lzma

import pytest

from headrace.data.sources.places.files import in_memory
from headrace.data.sources.places.packed import unpacked
from headrace.errors import SourceError
from headrace.settings import Settings

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
