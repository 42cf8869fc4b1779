"""JSON: one object a line, or an array of objects, perhaps the value of one key.

The keys of the objects are the columns.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from headrace.data.sources.encodings.detection import Encoding
from headrace.data.sources.encodings.lines import LINE_LIMIT, lines_of, open_text
from headrace.data.sources.places.files import File
from headrace.data.sources.tables.json_values import value_problem
from headrace.data.sources.tables.tabular import (
    Rows,
    Survey,
    batches,
    check_names,
    check_width,
    readable,
    text_column,
)
from headrace.errors import SourceError
from headrace.records import Finding

_READ_AT_ONCE = 2**20
_SPACES = " \t\r\n"
_MARK = "\ufeff"
_ACTION = 'Write one object a line, such as {"text": "...", "label": "..."}.'
# An object around all rows.
_WRAPPED = re.compile(r'\{\s*"([^"\\]*)"\s*:\s*(?=\[\s*\{)')
_CLOSED = re.compile(r"\]\s*\}\s*$")
_GAP = re.compile(r"[ \t\r\n,]*")
# Of one row: each list or object takes 64 bytes or more.
_NESTED_LIMIT = 2**20
_NESTED = pa.struct([])


class _Row(NamedTuple):
    """A row, of so many characters; `cells` is None for an unreadable one."""

    line: int
    cells: dict[str, Any] | None
    problem: str = ""
    size: int = 0


class JsonTable:
    """A table of JSON objects; keys that an object lacks are missing cells.

    Attributes:
        where, name, kinds, format, findings: as in `Table`; a column is of numbers if
            all of its values are.
    """

    def __init__(
        self,
        file: File,
        encoding: Encoding,
        is_array: bool,
        wrapped: re.Match[str] | None = None,
        *,
        max_columns: int,
    ) -> None:
        self.where, self.name = file.where, file.name
        self._file = file
        self._encoding = encoding
        self._is_array = is_array
        self._wrapped = wrapped
        survey = Survey()
        kinds: dict[str, set[type]] = {}
        for row in self._rows():
            if row.cells is None:
                survey.add_bad(row.line, row.problem)
                continue
            survey.add(_flat(row.cells) if survey.samples_next else None, row.size)
            for key, value in row.cells.items():
                kinds.setdefault(key, set()).add(type(value))
            check_width(self.where, len(kinds), max_columns)
        self.findings: list[Finding] = survey.check(self.where, _ACTION)
        self._sample: list[dict[str, Any]] = survey.sample
        check_names(kinds, self.where)
        self.kinds = {name: _kind(types) for name, types in kinds.items()}
        form = "an array" if is_array else "lines"
        under = f" under {wrapped[1]!r}" if wrapped else ""
        self.format = f"{encoding.name}, JSON: {form} of objects{under}"

    def sample(self) -> pa.Table:
        """Rows from all over the table; nested columns are left out."""
        return pa.table(
            {
                name: readable(_column([row.get(name) for row in self._sample], kind))
                for name, kind in self.kinds.items()
                if kind != _NESTED
            }
        )

    def read(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows of some columns, a bounded number at a time."""
        for rows, bad in batches(self._cells(columns)):
            arrays = [
                _column([(row or {}).get(name) for row in rows], self.kinds[name])
                for name in columns
            ]
            yield Rows(pa.record_batch(arrays, list(columns)), bad)

    def _cells(
        self, columns: Sequence[str]
    ) -> Iterator[tuple[dict[str, Any] | None, int]]:
        """The cells of some columns in each row, and their number of characters."""
        for row in self._rows():
            if row.cells is None:
                yield None, 0
                continue
            cells = {name: row.cells[name] for name in columns if name in row.cells}
            yield cells, sum(len(str(cell)) for cell in cells.values())

    def _rows(self) -> Iterator[_Row]:
        with open_text(self._file, self._encoding) as text:
            if self._is_array:
                skipped = self._wrapped.end() if self._wrapped else 0
                yield from _array(text, self.where, skipped)
            else:
                yield from _lines(lines_of(text, self.where))


def open_json(file: File, encoding: Encoding, max_columns: int) -> JsonTable | None:
    """A table of JSON objects; None where a file does not begin as one.

    Raises:
        SourceError: it begins as JSON and is no table of objects, or has too many keys.
    """
    with open_text(file, encoding) as text:
        head = text.read(_READ_AT_ONCE).lstrip(_MARK + _SPACES)
        rest = "" if "\n" in head else text.readline(LINE_LIMIT)
    # The last character of a first line that was cut off means nothing.
    is_complete = "\n" in head or len(rest) < LINE_LIMIT
    head += rest
    begins = head[:1] + head[1:].lstrip(_SPACES)[:1]
    if begins in ("[{", "[[", "[]"):
        return JsonTable(file, encoding, True, max_columns=max_columns)
    if begins not in ('{"', "{}"):
        return None
    line, _, more = head.partition("\n")
    is_row = is_complete and line.rstrip().endswith("}")
    wrapped = _WRAPPED.match(head)
    if wrapped and not (is_row and (more.strip() or not _CLOSED.search(line))):
        return JsonTable(file, encoding, True, wrapped, max_columns=max_columns)
    if not is_row:
        raise SourceError(
            f"{file.where} is JSON, but neither one object a line nor an array of "
            "objects.",
            _ACTION,
        )
    return JsonTable(file, encoding, False, max_columns=max_columns)


def _lines(lines: Iterator[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if _nested(line) > _NESTED_LIMIT:
            problem = f"it holds over {_NESTED_LIMIT:,} lists and objects"
            yield _Row(number, None, problem)
            continue
        try:
            row = json.loads(line.strip())
        except (ValueError, RecursionError) as error:
            yield _Row(number, None, f"it is not valid JSON ({_reason(error)})")
            continue
        problem = _problem(row)
        if problem:
            yield _Row(number, None, problem)
        else:
            yield _Row(number, row, size=len(line))


def _problem(row: Any) -> str:
    """Why a value is no row; empty for a row."""
    if isinstance(row, dict):
        return value_problem(row)
    return f"it is a {type(row).__name__}, not an object"


def _nested(text: str) -> int:
    return text.count("[") + text.count("{")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg.removesuffix(" at").removesuffix(" starting")
    is_deep = isinstance(error, RecursionError)
    return "it is nested too deeply" if is_deep else "a number has too many digits"


def _array(text: io.TextIOWrapper, where: str, skipped: int) -> Iterator[_Row]:
    """The objects of an array that begins after ``skipped`` characters."""
    decoder = json.JSONDecoder()
    buffer = text.read(_READ_AT_ONCE).lstrip(_MARK + _SPACES)[skipped + 1 :]
    place = number = 0
    reason = "the array is not closed"
    while True:
        place = _next(buffer, place)
        if buffer[place : place + 1] == "]":
            break
        try:
            row, end = decoder.raw_decode(buffer, place)
        except (ValueError, RecursionError) as error:
            # Twice as much each time, since decoding starts again at the beginning.
            more = text.read(max(_READ_AT_ONCE, len(buffer) - place))
            is_large = len(buffer) - place > LINE_LIMIT or (
                _nested(buffer) > 2 * _NESTED_LIMIT
            )
            if not more or is_large:
                if place < len(buffer):
                    reason = _reason(error)
                raise _no_object(where, number, reason) from None
            buffer, place = buffer[place:] + more, 0
            continue
        problem = _problem(row)
        if problem:
            raise _no_object(where, number, problem)
        yield _Row(number, row, size=end - place)
        number, place = number + 1, end
    rest = (buffer[place + 1 :] + text.read(_READ_AT_ONCE)).strip()
    if skipped and rest.startswith(","):
        raise SourceError(
            f"{where} is an object in which other keys follow the first, whose array "
            "was read as the rows.",
            "Write the rows alone: one array of objects, or one object a line.",
        )
    if rest != ("}" if skipped else ""):
        raise _no_object(where, number, "more follows the end of the array")


def _next(buffer: str, place: int) -> int:
    gap = _GAP.match(buffer, place)
    return gap.end() if gap else place


def _no_object(where: str, number: int, reason: str) -> SourceError:
    return SourceError(
        f"{where}: element {number:,} of the array is not an object: {reason}.",
        "Write one array of objects, or one object a line.",
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row without nested values, which may need a hundred times their text."""
    return {k: v for k, v in row.items() if not isinstance(v, (dict, list))}


def _kind(types: set[type]) -> pa.DataType:
    """The type of a column; one type stands for all nested values."""
    types = types - {type(None)}
    if types & {dict, list}:
        return _NESTED
    if types == {bool}:
        return pa.bool_()
    if float in types and types <= {int, float}:
        return pa.float64()
    return pa.large_string()


def _column(cells: list[Any], kind: pa.DataType) -> pa.Array:
    # Only NaN is unequal to itself.
    cells = [None if cell != cell else cell for cell in cells]  # noqa: PLR0124
    if kind in (pa.large_string(), _NESTED):
        return text_column([_as_text(cell) for cell in cells])
    if kind == pa.float64():
        cells = [None if cell is None else float(cell) for cell in cells]
    return pa.array(cells, kind)


def _as_text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, ensure_ascii=False)
