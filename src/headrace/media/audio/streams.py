"""Checks of FLAC and Ogg files that libsndfile does not make."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.audio.headers import Unfit

_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_ONES = 0xFFFF_FFFF
_LAST_PAGE = 4
# Sample rates by their codes in FLAC frames, from 1.
_FLAC_KHZ = dict(enumerate((88.2, 176.4, 192, 8, 16, 22.05, 24, 32, 44.1, 48, 96), 1))


def checked_ogg(data: bytes, notes: list[str]) -> bytes:
    """An Ogg file all of whose pages are there; decoders silently skip bad ones.

    Raises:
        Unfit: one is damaged or missing, or there is more than one stream.
    """
    place, number, serial, last = 0, 0, b"", False
    while place < len(data) and not last:
        if data[place : place + 4] != b"OggS" or place + 27 > len(data):
            raise Unfit("damaged", f"no Ogg page where one begins, at byte {place:,}")
        body = place + 27 + data[place + 26]
        end = body + sum(data[place + 27 : body])
        if end > len(data):
            raise Unfit(
                "truncated",
                f"its page {number:,} ends at byte {end:,}; it has {len(data):,}",
            )
        page = data[place:end]
        if _ogg_checksum(page) != page[22:26]:
            raise Unfit("damaged", f"a wrong checksum of its page {number:,}")
        serial = serial or page[14:18]
        if page[14:18] != serial or int.from_bytes(page[18:22], "little") != number:
            raise Unfit("damaged", f"page {number:,} is missing or of another stream")
        last = bool(page[5] & _LAST_PAGE)
        place, number = end, number + 1
    if not last:
        raise Unfit("truncated", f"its {number:,} pages lack the last one")
    return data


def _ogg_checksum(page: bytes) -> bytes:
    """Ogg's CRC, which is zlib's with the bits in reverse order."""
    plain = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(plain.translate(_REVERSED), _ONES) ^ _ONES
    return struct.pack(">I", crc).translate(_REVERSED)


def flac_frames(data: bytes) -> int:
    """The number of frames in a FLAC file's header; 0 where it is unknown."""
    return int.from_bytes(data[21:26]) & (2**36 - 1)


def checked_flac(data: bytes, notes: list[str]) -> bytes:
    """A FLAC file whose header has the sample rate of its first frame.

    Raises:
        Unfit: they differ.
    """
    rate = int.from_bytes(data[18:21]) >> 4
    place, last = 4, False
    while not last and place + 4 <= len(data):
        last = bool(data[place] & 0x80)
        place += 4 + int.from_bytes(data[place + 1 : place + 4])
    code = data[place + 2] & 15 if place + 3 <= len(data) else 0
    in_frames = round(1000 * _FLAC_KHZ.get(code, 0))
    if in_frames not in (0, rate):
        raise Unfit(
            "header",
            f"a sample rate of {rate:,} Hz, but {in_frames:,} Hz in its frames",
        )
    return data


class FlacChecksum:
    """The MD5 of the samples that most FLAC files have in their header.

    Files of other formats have none, and pass the check.
    """

    def __init__(self, data: bytes) -> None:
        self._bits = (int.from_bytes(data[20:22]) >> 4 & 31) + 1
        has_digest = data.startswith(b"fLaC") and any(data[26:42])
        self._expected = data[26:42] if has_digest else b""
        self._digest = hashlib.md5(usedforsecurity=False)

    def add(self, samples: npt.NDArray[Any]) -> None:
        """Add decoded samples: int16, or int32 with the value in the highest bits."""
        if self._expected:
            size, width = samples.itemsize, -(-self._bits // 8)
            values = (samples >> (8 * size - self._bits)).astype(f"<i{size}")
            packed = values.view(np.uint8).reshape(-1, size)[:, :width]
            self._digest.update(np.ascontiguousarray(packed).data)

    def check(self) -> None:
        """Compare it with the digest of the samples that were added.

        Raises:
            Unfit: they differ.
        """
        if self._expected and self._digest.digest() != self._expected:
            raise Unfit("damaged", "its samples differ from the checksum in its header")
