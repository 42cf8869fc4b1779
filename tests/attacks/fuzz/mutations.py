"""Ways in which a file is damaged or made hostile."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable

_LONGEST = 2**20
_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 65_535, 2**31 - 1, 2**31, 2**32 - 1)
_TOKENS = (
    *(b'"', b",", b"\n", b"\r", b"\t", b"\0", b"[", b"{", b"}", b"]", b"-1", b"NaN"),
    *(b"1e999", b"9" * 400, b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"null"),
    *(b'","', b"\\ud800", b"true", b"=cmd()", b"../", b"%s", b"[/b]"),
)
_PNG = b"\x89PNG\r\n\x1a\n"


def mutant(data: bytes, other: bytes, number: int, name: str) -> bytes:
    """A damaged file, the same for the same arguments.

    Args:
        data: a good file.
        other: another, of which parts may be put in.
        number, name: which mutant of which file.
    """
    chance = random.Random(f"{name} {number}")
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        way = chance.choice(_WAYS)
        changed = way(changed, other, chance)
        if len(changed) > _LONGEST:
            del changed[_LONGEST:]
    if changed.startswith(_PNG) and chance.random() < 0.8:
        changed = _with_checksums(changed)
    return bytes(changed)


def _flip(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def _byte(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    if data:
        data[chance.randrange(len(data))] = chance.choice((0, 1, 127, 128, 254, 255))
    return data


def _number(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    """A length, a count or a size, most of which lie near the beginning or the end."""
    form = chance.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    width = struct.calcsize(form)
    if len(data) < width:
        return data
    most = len(data) - width + 1
    near = chance.choice((most, min(most, 64), min(most, 512)))
    place = chance.randrange(near)
    if chance.random() < 0.2:
        place = most - 1 - place
    value = chance.choice(_NUMBERS) % 2 ** (8 * width)
    data[place : place + width] = struct.pack(form, value)
    return data


def _cut(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    return data[: chance.randrange(len(data) + 1)]


def _remove(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data) + 1)
    del data[start : start + chance.choice((1, 2, 4, 16, 100))]
    return data


def _repeat(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.choice((1, 3, 8, 40, 400))]
    count = chance.choice((1, 2, 10, 1000, 20_000))
    data[start:start] = piece * min(count, _LONGEST // max(1, len(piece)))
    return data


def _splice(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    start = chance.randrange(len(other) + 1)
    piece = other[start : start + chance.choice((4, 16, 64, 500))]
    place = chance.randrange(len(data) + 1)
    if chance.random() < 0.5:
        data[place : place + len(piece)] = piece
    else:
        data[place:place] = piece
    return data


def _token(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    place = chance.randrange(len(data) + 1)
    token = chance.choice(_TOKENS) * chance.choice((1, 1, 2, 50, 5000))
    data[place:place] = token
    return data


def _digits(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    """A number that is written out, as in the header of an NPY file."""
    numbers = list(re.finditer(rb"\d+", bytes(data[:4096])))
    if not numbers:
        return data
    match = chance.choice(numbers)
    value = chance.choice((b"0", b"-1", b"1", b"65536", b"4294967296", b"9" * 19))
    # Of the same length, where that is possible, so that what follows stays in place.
    length = match.end() - match.start()
    data[match.start() : match.end()] = (
        value[:length] if chance.random() < 0.7 else value
    )
    return data


def _grow(data: bytearray, other: bytes, chance: random.Random) -> bytearray:
    filling = chance.choice((b"\0", b"\xff", b" ", b"a", b"\n"))
    return data + filling * chance.choice((1, 100, 10_000, 500_000))


def _with_checksums(data: bytearray) -> bytearray:
    """A PNG whose chunks are taken for whole, so that they are looked into."""
    place = len(_PNG)
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4])
        end = place + 8 + size
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return data


_Way = Callable[[bytearray, bytes, random.Random], bytearray]
_WAYS: tuple[_Way, ...] = (
    *(_flip, _flip, _byte, _number, _number, _number, _cut, _remove, _repeat),
    *(_splice, _token, _digits, _grow),
)
