"""The decoded sizes of a Parquet file's pages, from the headers of the pages.

Only these are reliable: the footer may lie, and a dictionary stores a value once for
all rows. The headers are in Thrift's compact protocol
(https://github.com/apache/parquet-format, README and parquet.thrift;
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

import pyarrow as pa

MAGIC = b"PAR1"
# 120,000 columns of row groups; reading as many takes seconds.
FOOTER_BYTES = 2**25
_TAIL = 8
_HEADER_BYTES = (2**10, 2**16, 2**24)
_DATA, _DICTIONARY = 0, 2
_DICTIONARY_ENCODINGS = (2, 8)
_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_BYTE_ARRAY = 6
_DEEPEST = 16
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, 7, 8, 12
_INTEGERS, _LISTS, _MAP = (4, 5, 6), (9, 10), 11
_SIZES = {_BYTE: 1, _DOUBLE: 8}
Fields = dict[int, Any]


class PageError(ValueError):
    """A damaged footer or header of a page."""


class Thrift:
    """A reader of Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self.place = 0
        self._data = data

    def varint(self) -> int:
        """An unsigned whole number."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise PageError("a number of over ten bytes")

    def field(self, last: int) -> tuple[int, int]:
        """The id and the type of the next field; type 0 ends a struct."""
        byte = self._byte()
        kind, step = byte & 15, byte >> 4
        if kind == _STOP:
            return 0, _STOP
        return (last + step if step else self._signed()), kind

    def list_header(self) -> tuple[int, int]:
        """How many elements a list has, and their type."""
        byte = self._byte()
        count = byte >> 4
        return (self.varint() if count == 15 else count), byte & 15

    def struct(self, depth: int = 0) -> Fields:
        """The numbers, structs and lists of structs in a struct, by their ids.

        Raises:
            PageError: it is cut short, damaged, or nested too deeply.
        """
        fields: Fields = {}
        last = 0
        while True:
            last, kind = self.field(last)
            if kind == _STOP:
                return fields
            fields[last] = self._value(kind, depth, in_list=False)

    def _value(self, kind: int, depth: int, *, in_list: bool) -> Any:
        if depth > _DEEPEST:
            raise PageError("a header that is nested too deeply")
        if kind in (_TRUE, _FALSE):
            return self._byte() if in_list else kind == _TRUE
        if kind in _INTEGERS:
            return self._signed()
        if kind in _SIZES:
            return self._skip(_SIZES[kind])
        if kind == _BINARY:
            return self._skip(self.varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in _LISTS or kind == _MAP:
            return self._many(kind, depth)
        raise PageError(f"a field of type {kind}")

    def _many(self, kind: int, depth: int) -> list[Fields] | None:
        """The structs of a list; None for other lists and for maps."""
        if kind == _MAP:
            count = self.varint()
            kinds: tuple[int, ...] = divmod(self._byte(), 16) if count else ()
        else:
            count, of_list = self.list_header()
            kinds = (of_list,)
        if kinds == (_STRUCT,):
            return [self.struct(depth + 1) for _ in range(count)]
        for _ in range(count):
            for element in kinds:
                self._value(element, depth + 1, in_list=True)
        return None

    def _signed(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def _byte(self) -> int:
        if self.place >= len(self._data):
            raise PageError("a header that is cut short")
        self.place += 1
        return self._data[self.place - 1]

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self._data):
            raise PageError("a header that is cut short")


@dataclass(slots=True)
class Pages:
    """The pages of one column in one row group.

    Attributes:
        values: the number of values in each data page.
        sizes: the unpacked bytes of each data page; 0 if it refers to the dictionary.
        largest: the unpacked bytes of the largest page, dictionaries included.
        dictionary: at most the bytes of the longest value in the dictionary.
    """

    values: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    largest: int = 0
    dictionary: int = 0


class Chunk(NamedTuple):
    """The pages of a column of values in a row group.

    Attributes:
        kind, codec: Parquet's numbers of the type of values and of the compression.
        values: the number of values, nulls included.
        place, size: of the pages, in bytes.
    """

    kind: int
    codec: int
    values: int
    place: int
    size: int


def read_footer(stream: IO[bytes], size: int) -> bytes:
    """The footer of a file of ``size`` bytes; empty if it is damaged.

    Raises:
        PageError: the footer is too large.
    """
    stream.seek(max(0, size - _TAIL))
    tail = stream.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length + _TAIL > size:
        return b""
    if length > FOOTER_BYTES:
        raise PageError(f"its footer has {length:,} bytes, over {FOOTER_BYTES:,}")
    stream.seek(size - _TAIL - length)
    return stream.read(length)


def schema_size(footer: bytes) -> int:
    """The number of elements of the schema in a footer; 0 if unknown."""
    reader = Thrift(footer)
    try:
        if reader.field(0) != (1, 5):
            return 0
        reader.varint()
        is_schema = reader.field(1) == (2, 9)
        return reader.list_header()[0] if is_schema else 0
    except PageError:
        return 0


def chunks_of(footer: bytes) -> list[list[Chunk]]:
    """The column chunks of each row group.

    pyarrow is not used: it ends the process if a chunk's statistics are damaged.

    Raises:
        PageError: the footer is damaged.
    """
    try:
        groups = Thrift(footer).struct().get(4) or []
        return [[_chunk(column) for column in group.get(1) or []] for group in groups]
    except (PageError, AttributeError, TypeError) as error:
        raise PageError(f"its footer is damaged: {error}") from None


def _chunk(column: Fields) -> Chunk:
    facts = column.get(3)
    if not isinstance(facts, dict):
        raise PageError("a column without its facts")
    kind, codec, values, size, start = (_number(facts, n) for n in (1, 4, 5, 7, 9))
    if facts.get(11):
        start = min(start, _number(facts, 11))
    chunk = Chunk(kind, codec, values, start, size)
    if min(chunk) < 0:
        raise PageError("a column with a number below 0")
    return chunk


def scan(stream: IO[bytes], chunk: Chunk, limit: int) -> Pages:
    """Read the headers of the pages of a column chunk.

    Args:
        limit: a dictionary with more unpacked bytes is not unpacked.

    Raises:
        PageError: a header is damaged, or leads out of the chunk.
    """
    place, end = chunk.place, chunk.place + chunk.size
    pages, values = Pages(), 0
    while place < end and values < chunk.values:
        header, length = _header(stream, place, end)
        packed, unpacked = _number(header, 3), _number(header, 2)
        place += length + packed
        if min(packed, unpacked) < 0 or place > end:
            raise PageError(f"a page of {packed:,} bytes, unpacked {unpacked:,}")
        pages.largest = max(pages.largest, unpacked)
        if header.get(1) == _DICTIONARY:
            longest = _longest(stream, place - packed, packed, unpacked, chunk, limit)
            pages.dictionary = max(pages.dictionary, longest)
            continue
        facts = header.get(5) if header.get(1) == _DATA else header.get(8)
        if not isinstance(facts, dict):
            continue
        encoding = facts.get(2 if header.get(1) == _DATA else 4)
        count = _number(facts, 1)
        if count < 0:
            raise PageError(f"a page of {count:,} values")
        pages.values.append(count)
        pages.sizes.append(0 if encoding in _DICTIONARY_ENCODINGS else unpacked)
        values += count
    return pages


def _number(fields: Fields, place: int) -> int:
    value = fields.get(place)
    if not isinstance(value, int):
        raise PageError(f"a header without its field {place}")
    return value


def _header(stream: IO[bytes], place: int, end: int) -> tuple[Fields, int]:
    """The header at a place and its length."""
    for size in _HEADER_BYTES:
        stream.seek(place)
        reader = Thrift(stream.read(min(size, end - place)))
        try:
            return reader.struct(), reader.place
        except PageError:
            if size >= end - place:
                raise
    raise PageError("a page header of over 16 MiB")


def _longest(
    stream: IO[bytes], place: int, packed: int, unpacked: int, chunk: Chunk, limit: int
) -> int:
    """The bytes of the longest value of a dictionary; if unknown, of all of it."""
    if chunk.kind != _BYTE_ARRAY or unpacked > limit:
        return unpacked
    stream.seek(place)
    data = stream.read(packed)
    if chunk.codec:
        try:
            data = pa.decompress(data, unpacked, _CODECS[chunk.codec], asbytes=True)
        except (pa.ArrowException, OSError, KeyError):
            return unpacked
    at = longest = 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return longest
