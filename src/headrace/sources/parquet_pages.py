"""What the pages of a Parquet file decode to, read from their headers alone.

The footer may lie, and a value of a dictionary is stored once for all of its rows: the
headers of the pages are what a decoder goes by. They are in Thrift's compact protocol
(https://github.com/apache/parquet-format, README and parquet.thrift).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa

_HEADER_BYTES = (2**10, 2**16, 2**24)
_DEEPEST = 16
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, 7, 8, 12
_INTEGERS, _LISTS, _MAP = (4, 5, 6), (9, 10), 11
_DICTIONARY_ENCODINGS = (2, 8)
_CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd", "BROTLI": "brotli"}
_Fields = dict[int, Any]


class PageError(ValueError):
    """Bytes that are no header of a page."""


@dataclass(slots=True)
class Pages:
    """The pages of one column in one row group.

    Attributes:
        values: in each data page, in their order.
        sizes: bytes that each data page unpacks to; of one that refers to the
            dictionary, 0.
        largest: bytes that the largest page unpacks to, the dictionary among them.
        dictionary: bytes of the longest value in the dictionary, at most.
    """

    values: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    largest: int = 0
    dictionary: int = 0


def schema_size(footer: bytes) -> int:
    """How many elements a schema has, by the beginning of the footer; 0: not known."""
    try:
        reader = _Thrift(footer)
        if reader.field(0) != (1, 5):
            return 0
        reader.varint()
        if reader.field(1) != (2, _LISTS[0]):
            return 0
        return reader.list_header()[0]
    except PageError:
        return 0


def scan(stream: IO[bytes], chunk: Any, limit: int) -> Pages:
    """Look at the pages of a column chunk.

    Args:
        stream: the file.
        chunk: its metadata, pyarrow's ``ColumnChunkMetaData``.
        limit: bytes up to which a page is of use; a dictionary that unpacks to more
            is not looked into.

    Raises:
        PageError: a header is damaged, or leads out of the chunk.
    """
    starts = [chunk.data_page_offset]
    if chunk.dictionary_page_offset:
        starts.append(chunk.dictionary_page_offset)
    place = min(starts)
    end = place + chunk.total_compressed_size
    pages, seen = Pages(), 0
    while place < end and seen < chunk.num_values:
        header, length = _header(stream, place, end)
        packed, unpacked = _number(header, 3), _number(header, 2)
        place += length + packed
        if min(packed, unpacked) < 0 or place > end:
            raise PageError(f"a page of {packed:,} bytes, unpacked {unpacked:,}")
        pages.largest = max(pages.largest, unpacked)
        if header.get(1) == _DICTIONARY:
            body = (place - packed, packed, unpacked)
            pages.dictionary = _longest(stream, body, chunk, limit)
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
        seen += count
    return pages


def _number(fields: _Fields, place: int) -> int:
    value = fields.get(place)
    if not isinstance(value, int):
        raise PageError(f"a page header without its field {place}")
    return value


def _header(stream: IO[bytes], place: int, end: int) -> tuple[_Fields, int]:
    """The header at a place, and its length."""
    for size in _HEADER_BYTES:
        stream.seek(place)
        reader = _Thrift(stream.read(min(size, end - place)))
        try:
            return reader.struct(), reader.place
        except PageError:
            if size >= end - place:
                raise
    raise PageError("a page header of over 16 MiB")


def _longest(
    stream: IO[bytes], body: tuple[int, int, int], chunk: Any, limit: int
) -> int:
    """Bytes of the longest value of a dictionary; where unknown, of all of it."""
    place, packed, unpacked = body
    if chunk.physical_type != "BYTE_ARRAY" or unpacked > limit:
        return unpacked
    stream.seek(place)
    data = stream.read(packed)
    if chunk.compression in _CODECS:
        try:
            data = pa.decompress(
                data, unpacked, _CODECS[chunk.compression], asbytes=True
            )
        except (pa.ArrowException, OSError):
            return unpacked
    elif chunk.compression != "UNCOMPRESSED":
        return unpacked
    return max(_lengths(data), default=0)


def _lengths(data: bytes) -> Iterator[int]:
    place = 0
    while place + 4 <= len(data):
        length = int.from_bytes(data[place : place + 4], "little")
        yield length
        place += 4 + length


class _Thrift:
    """Reads Thrift's compact protocol from some bytes."""

    def __init__(self, data: bytes) -> None:
        self.place = 0
        self._data = data

    def varint(self) -> int:
        """An unsigned whole number."""
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
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

    def struct(self, depth: int = 0) -> _Fields:
        """The numbers and structs in a struct, by the ids of their fields."""
        fields: _Fields = {}
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
        if kind in (_BYTE, _DOUBLE, _BINARY):
            sizes = {_BYTE: 1, _DOUBLE: 8}
            return self._skip(sizes[kind] if kind in sizes else self.varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in _LISTS or kind == _MAP:
            return self._skip_many(kind, depth)
        raise PageError(f"a field of type {kind}")

    def _skip_many(self, kind: int, depth: int) -> None:
        if kind == _MAP:
            count = self.varint()
            kinds: tuple[int, ...] = divmod(self._byte(), 16) if count else ()
        else:
            count, of_list = self.list_header()
            kinds = (of_list,)
        for _ in range(count):
            for one in kinds:
                self._value(one, depth + 1, in_list=True)

    def _signed(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def _byte(self) -> int:
        if self.place >= len(self._data):
            raise PageError("a page header that is cut short")
        self.place += 1
        return self._data[self.place - 1]

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self._data):
            raise PageError("a page header that is cut short")
