"""Thrift's compact protocol, as far as the headers of Parquet files need it.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

_DEEPEST = 16
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, 7, 8, 12
_INTEGERS, _LISTS, _MAP = (4, 5, 6), (9, 10), 11
_SIZES = {_BYTE: 1, _DOUBLE: 8}
Fields = dict[int, Any]


class ThriftError(ValueError):
    """Bytes that do not follow the protocol, or are cut short."""


class Thrift:
    """A reader of Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self.place = 0
        self._data = data

    def varint(self) -> int:
        """An unsigned whole number."""
        byte = self._byte()
        if byte < 128:
            return byte
        value, shift = byte & 127, 7
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ThriftError("a number of over ten bytes")

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
            ThriftError: it is cut short, damaged, or nested too deeply.
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
            raise ThriftError("a header that is nested too deeply")
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
        raise ThriftError(f"a field of type {kind}")

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
            raise ThriftError("a header that is cut short")
        self.place += 1
        return self._data[self.place - 1]

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self._data):
            raise ThriftError("a header that is cut short")
