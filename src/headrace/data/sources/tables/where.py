"""``data.where``: a condition that chooses rows of a table, such as ``lang == 'en'``.

It is a small part of Python's syntax: comparisons of a column with text or numbers,
``in``, ``and``, ``or``, ``not`` and parentheses. It is parsed and never run.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.sources.tables.tabular import is_number, plain, readable
from headrace.errors import SpecError
from headrace.media.forms import Flags

_Value = str | int | float | bool
_Test = Callable[[pa.RecordBatch], Flags]
_COMPARISONS: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_REVERSED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}
_KINDS = {str: "text", bool: "truth", int: "number", float: "number"}
_LIMIT = 2000
_KNOWN = (
    "Compare columns with text or numbers, such as lang == 'en' and length < 500, or "
    "split in ('a', 'b'); known are == != < <= > >= in, not in, and, or, not."
)


class Where(NamedTuple):
    """A parsed condition.

    Attributes:
        columns: the columns that it names.
        mask: tells for which rows it is true, ``(n,)``. A missing value equals nothing
            but an empty text, and is neither less nor greater than anything. It raises
            SpecError where a column of text is compared with a number.
    """

    columns: frozenset[str]
    mask: _Test


def parse_where(text: str | None, columns: Mapping[str, Any], where: str) -> Where:
    """Parse a condition.

    Args:
        text: the condition; None takes every row.
        columns: the columns of the table, by name.
        where: the table, for messages.

    Raises:
        SpecError: the condition is invalid, or names a column that the table lacks.
    """
    if text is None:
        return Where(frozenset(), lambda rows: np.ones(len(rows), bool))
    parser = _Parser(text, columns, where)
    try:
        tree = ast.parse(text[: _LIMIT + 1].strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise parser.refuse(reason or type(error).__name__) from None
    if len(text) > _LIMIT:
        raise parser.refuse(f"over {_LIMIT:,} characters")
    test = parser.test(tree.body)
    return Where(frozenset(parser.used), test)


@dataclass(slots=True)
class _Parser:
    text: str
    columns: Mapping[str, Any]
    where: str
    used: set[str] = field(default_factory=set)

    def refuse(self, reason: str) -> SpecError:
        text = self.text if len(self.text) < 200 else f"{self.text[:200]}..."
        return SpecError(
            f"data.where = {text!r} is not a valid condition: {reason}.", _KNOWN
        )

    def test(self, node: ast.expr) -> _Test:
        if isinstance(node, ast.BoolOp):
            tests = [self.test(value) for value in node.values]
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return lambda rows: join.reduce([test(rows) for test in tests])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.test(node.operand)
            return lambda rows: ~inner(rows)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        raise self.refuse(f"{ast.unparse(node)} is not a comparison")

    def _compare(self, node: ast.Compare) -> _Test:
        sides = [node.left, *node.comparators]
        tests = list(map(self._pair, sides, node.ops, node.comparators))
        return lambda rows: np.logical_and.reduce([test(rows) for test in tests])

    def _pair(self, left: ast.expr, kind: ast.cmpop, right: ast.expr) -> _Test:
        operator = type(kind)
        is_in = isinstance(kind, (ast.In, ast.NotIn))
        if not is_in and operator not in _COMPARISONS:
            raise self.refuse("`is` compares nothing here")
        if not is_in and not isinstance(left, ast.Name):
            left, right, operator = right, left, _REVERSED.get(operator, operator)
        name = self._column(left)
        values = self._values(right) if is_in else [self._value(right)]
        negate = operator in (ast.NotEq, ast.NotIn)
        orders = operator in _REVERSED and isinstance(values[0], str)

        def test(rows: pa.RecordBatch) -> Flags:
            column, others = self._alike(rows.column(name), name, values)
            if orders:
                column = pc.if_else(pc.equal(column, ""), None, column)
            if is_in:
                is_true = pc.is_in(column, others)
            else:
                is_true = _COMPARISONS[operator](column, others[0])
            mask: Flags = pc.fill_null(is_true, False).to_numpy(zero_copy_only=False)
            return mask.astype(bool) ^ negate

        return test

    def _values(self, node: ast.expr) -> list[_Value]:
        if not isinstance(node, (ast.Tuple, ast.List, ast.Set)) or not node.elts:
            raise self.refuse(
                f"after `in`, {ast.unparse(node)} is not a list of values"
            )
        values = [self._value(value) for value in node.elts]
        if len({_KINDS[type(value)] for value in values}) > 1:
            raise self.refuse(
                f"{ast.unparse(node)} mixes text, numbers or truth values"
            )
        return values

    def _column(self, node: ast.expr) -> str:
        if not isinstance(node, ast.Name):
            raise self.refuse(f"{ast.unparse(node)} is not a column")
        if node.id not in self.columns:
            names = ", ".join(list(self.columns)[:20])
            raise SpecError(
                f"data.where = {self.text!r} names {node.id!r}, which {self.where} "
                f"lacks; it has {names}.",
                "Name one of its columns.",
            )
        self.used.add(node.id)
        return node.id

    def _value(self, node: ast.expr) -> _Value:
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, node = -1, node.operand
        if isinstance(node, ast.Constant):
            value = node.value
            if isinstance(value, (str, bool)) and sign > 0:
                return value
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return sign * value
        raise self.refuse(f"{ast.unparse(node)} is neither text nor a number")

    def _alike(
        self, column: pa.Array, name: str, values: Sequence[_Value]
    ) -> tuple[pa.Array, pa.Array]:
        """A column and the values that it is compared with, in one type."""
        column = readable(plain(column))
        try:
            if isinstance(values[0], str):
                texts = pc.fill_null(column.cast(pa.large_string()), "")
                return texts, pa.array(values, texts.type)
            if isinstance(values[0], bool):
                return column.cast(pa.bool_()), pa.array(values, pa.bool_())
            if not is_number(column.type):
                cells = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
                column = pc.if_else(pc.equal(cells, ""), None, cells)
            if all(isinstance(value, int) for value in values):
                with contextlib.suppress(pa.ArrowException, OverflowError):
                    # A float has 53 bits, and ids have 64.
                    return column.cast(pa.int64()), pa.array(values, pa.int64())
            numbers = pa.array(map(float, values), pa.float64())
            return column.cast(pa.float64(), safe=False), numbers
        except (pa.ArrowException, UnicodeError, OverflowError) as error:
            raise SpecError(
                f"data.where = {self.text!r} compares {name} with {values[0]!r:.60}, "
                f"but in {self.where} it holds other values: "
                f"{str(error).splitlines()[0]}.",
                "Compare text with text, in quotes, and numbers with numbers.",
            ) from None
