"""Columns of tables as texts."""

from __future__ import annotations

from itertools import product
from typing import Any

import pyarrow as pa
import pytest

from headrace.data.sources.tables.reading import labels_of, texts_of

CELLS = [
    b"ham",
    None,
    b"\xff",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"",
    "Müller 你好".encode(),
]


def as_text(cell: bytes | None) -> str:
    try:
        return (cell or b"").decode()
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("pair", product(CELLS, CELLS))
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_bytes_that_are_no_utf_8_are_empty_texts_and_spoil_no_others(
    pair: tuple[bytes | None, ...], kind: pa.DataType
) -> None:
    column = pa.array(pair, kind)
    assert texts_of(column) == [as_text(cell) for cell in pair]
    assert texts_of(column.dictionary_encode()) == [as_text(cell) for cell in pair]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["a", None], ["a", ""]),
        ([1, None], ["1", ""]),
        ([True, False], ["true", "false"]),
    ],
)
def test_cells_of_any_kind_are_texts(values: list[Any], texts: list[str]) -> None:
    assert texts_of(pa.array(values)) == texts


def test_lists_of_labels_are_json_and_a_missing_one_is_empty() -> None:
    column = pa.array([["a", "b|c"], [], None, ["你好"]])
    rows = pa.record_batch([column], names=["tags"])
    labels = labels_of(rows, "tags", "table.parquet", 0).texts
    assert labels == ['["a", "b|c"]', "[]", "", '["你好"]']
