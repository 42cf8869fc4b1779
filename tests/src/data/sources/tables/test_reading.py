"""Columns of tables as texts."""

from itertools import product

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


def as_text(cell):
    try:
        return (cell or b"").decode()
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize("pair", product(CELLS, CELLS))
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_bytes_that_are_no_utf_8_are_empty_texts_and_spoil_no_others(pair, kind):
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
def test_cells_of_any_kind_are_texts(values, texts):
    assert texts_of(pa.array(values)) == texts


def test_lists_of_labels_are_json_and_a_missing_one_is_empty():
    column = pa.array([["a", "b|c"], [], None, ["你好"]])
    rows = pa.record_batch([column], names=["tags"])
    labels = labels_of(rows, "tags", []).texts
    assert labels == ['["a", "b|c"]', "[]", "", '["你好"]']
