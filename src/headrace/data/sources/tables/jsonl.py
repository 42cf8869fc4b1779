"""JSON: one object a line, or an array of objects, perhaps the value of one key.

The keys of the objects are the columns.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from headrace.data.sources.encodings.detection import Encoding
from headrace.data.sources.encodings.lines import (
    LINE_LIMIT,
    Lines,
    decoded,
    open_text,
)
from headrace.data.sources.places.files import File
from headrace.data.sources.tables.tabular import (
    TableRows,
    TableSurvey,
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
MOST_BITS = 1023  # of an integer that fits into a float64
MOST_LEVELS = 100  # json.dumps recurses level by level


class _JsonRow(NamedTuple):
    """A row, of so many characters; `cells` is None for an unreadable one.

    Its number is that of its line, or of its object in an array; the first is 1.
    """

    number: int
    cells: dict[str, Any] | None
    problem: str = ""
    size: int = 0


class JsonTable:
    """A table of JSON objects; keys that an object lacks are missing cells.

    Args:
        file: unpacked.
        begin: the place of the array in the file; None: each line is an object.
        form: of the file, in words.

    Attributes:
        where, name, encoding, kinds, format, findings: as in `Table`; a column is of
            numbers if all of its values are.
    """

    def __init__(
        self,
        file: File,
        encoding: Encoding,
        begin: int | None = None,
        form: str = "lines of objects",
    ) -> None:
        self.where, self.name = file.where, file.name
        self.encoding = encoding.codec
        self.format = f"{encoding.name}, JSON: {form}"
        self._file = file
        self._encoding = encoding
        self._begin = begin
        survey = TableSurvey()
        kinds: dict[str, set[type]] = {}
        for row in self._rows():
            if row.cells is None:
                survey.add_bad(row.number, row.problem)
                continue
            for key, value in row.cells.items():
                kinds.setdefault(key, set()).add(type(value))
            flat = {}
            if survey.samples_next:  # nested values may need a hundred times their text
                cells = row.cells.items()
                flat = {k: v for k, v in cells if not isinstance(v, (dict, list))}
            survey.add(flat, row.size)
            check_width(self.where, len(kinds))
        self.findings: list[Finding] = survey.findings(self.where, _ACTION)
        self._sample: list[dict[str, Any]] = survey.sample
        check_names(kinds, self.where)
        self.kinds = {name: _kind(types) for name, types in kinds.items()}

    def sample(self) -> pa.Table:
        """Rows from all over the table; nested columns are left out."""
        return pa.table(
            {
                name: readable(_column([row.get(name) for row in self._sample], kind))
                for name, kind in self.kinds.items()
                if kind != _NESTED
            }
        )

    def read(self, columns: Sequence[str]) -> Iterator[TableRows]:
        """All rows of some columns, a bounded number at a time."""
        makers = {name: partial(_column, kind=self.kinds[name]) for name in columns}
        return batches(self._cells(columns), makers)

    def _cells(
        self, columns: Sequence[str]
    ) -> Iterator[tuple[list[Any] | None, int, int | str]]:
        """The cells of some columns in each row, their characters, and its line."""
        for row in self._rows():
            line = row.number if self._begin is None else ""
            if row.cells is None:
                yield None, 0, line
            else:
                cells = [row.cells.get(name) for name in columns]
                yield cells, sum(map(len, map(str, cells))), line

    def _rows(self) -> Iterator[_JsonRow]:
        if self._begin is None:
            yield from _lines(Lines(decoded(self._file, self._encoding), self.where))
            return
        with open_text(self._file, self._encoding) as text:
            yield from _array(text, self.where, self._begin)


def open_json(file: File, encoding: Encoding) -> JsonTable | None:
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
        return JsonTable(file, encoding, 0, "an array of objects")
    if begins not in ('{"', "{}"):
        return None
    line, _, more = head.partition("\n")
    is_row = is_complete and line.rstrip().endswith("}")
    wrapped = _WRAPPED.match(head)
    if wrapped and not (is_row and (more.strip() or not _CLOSED.search(line))):
        form = f"an array of objects under {wrapped[1]!r}"
        return JsonTable(file, encoding, wrapped.end(), form)
    if not is_row:
        raise SourceError(
            f"{file.where} is JSON, but neither one object a line nor an array of "
            "objects.",
            _ACTION,
        )
    return JsonTable(file, encoding)


def _lines(lines: Iterable[str]) -> Iterator[_JsonRow]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = None
        if _nested(line) > _NESTED_LIMIT:
            problem = f"it holds over {_NESTED_LIMIT:,} lists and objects"
        else:
            try:
                row = json.loads(line.strip())
                problem = _problem(row)
            except (ValueError, RecursionError) as error:
                problem = f"it is not valid JSON ({_reason(error)})"
        yield _JsonRow(number, None if problem else row, problem, len(line))


def _problem(row: Any) -> str:
    """Why a value is no row, or no column can hold one of its values; else empty."""
    if not isinstance(row, dict):
        return f"it is a {type(row).__name__}, not an object"
    for key, value in row.items():
        if type(value) is int and value.bit_length() > MOST_BITS:
            return f"{key!r} is a number of {len(str(abs(value))):,} digits"
        if isinstance(value, dict | list) and not _is_shallow(value):
            return f"{key!r} is nested more than {MOST_LEVELS} levels deep"
    return ""


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False


def _nested(text: str) -> int:
    return text.count("[") + text.count("{")


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg.removesuffix(" at").removesuffix(" starting")
    is_deep = isinstance(error, RecursionError)
    return "it is nested too deeply" if is_deep else "a number has too many digits"


def _array(text: io.TextIOWrapper, where: str, skipped: int) -> Iterator[_JsonRow]:
    """The objects of an array that begins after ``skipped`` characters."""
    decoder = json.JSONDecoder()
    buffer = text.read(_READ_AT_ONCE).lstrip(_MARK + _SPACES)[skipped + 1 :]
    place, number = 0, 1
    reason = "the array is not closed"
    while True:
        if gap := _GAP.match(buffer, place):
            place = gap.end()
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
        if problem := _problem(row):
            raise _no_object(where, number, problem)
        yield _JsonRow(number, row, size=end - place)
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


def _no_object(where: str, number: int, reason: str) -> SourceError:
    return SourceError(
        f"{where}: row {number:,} of the array is not an object: {reason}.",
        "Write one array of objects, or one object a line.",
    )


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
        is_text = (type(None), str)
        dumps = partial(json.dumps, ensure_ascii=False)
        return text_column([c if isinstance(c, is_text) else dumps(c) for c in cells])
    if kind == pa.float64():
        cells = [None if cell is None else float(cell) for cell in cells]
    return pa.array(cells, kind)
