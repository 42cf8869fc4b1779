import pyarrow as pa
import pytest

from headrace.data.sources.tables.where import parse_where
from headrace.errors import SpecError

ROWS = pa.record_batch(
    {
        "lang": ["en", "zh", None, "de"],
        "size": [1, 5, None, 20],
        "digits": ["1", " 5", "", "20.5"],
        "good": [True, False, None, True],
        "kind": pa.array(["a", "b", "a", "b"]).dictionary_encode(),
        "many": [[1], [2], [3], [4]],
        "id": pa.array([2**60 + 1, 2**60 + 2, None, 5], pa.int64()),
        "damaged": pa.array([b"en", b"\xff", None, b"zh"], pa.large_binary()),
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("lang == 'en'", [0]),
        ("'en' == lang", [0]),
        ("lang != 'en'", [1, 2, 3]),
        ("lang in ('en', 'zh')", [0, 1]),
        ("lang not in ['en', 'zh']", [2, 3]),
        ("lang == ''", [2]),
        ("lang < 'en'", [3]),
        ("lang <= 'en'", [0, 3]),
        ("'m' > lang", [0, 3]),
        ("lang > 'm'", [1]),
        ("lang >= ''", [0, 1, 3]),
        ("lang != ''", [0, 1, 3]),
        ("digits < '2'", [0, 1]),
        ("size < 5", [0]),
        ("5 <= size", [1, 3]),
        ("1 < size <= 20", [1, 3]),
        ("size != 5", [0, 2, 3]),
        ("size in {1, 20}", [0, 3]),
        ("size > -1", [0, 1, 3]),
        ("size == '5'", [1]),
        ("digits >= 5", [1, 3]),
        ("digits == 20.5", [3]),
        ("good == True", [0, 3]),
        ("kind == 'b'", [1, 3]),
        ("lang == 'en' or size > 4 and not kind == 'a'", [0, 1, 3]),
        ("(lang == 'en' or size > 4) and kind == 'a'", [0]),
        ("not (lang == 'en' or lang == 'zh')", [2, 3]),
        (f"id == {2**60 + 1}", [0]),
        (f"id > {2**60 + 1}", [1]),
        ("id > 5.5", [0, 1]),
        ("id < 99999999999999999999", [0, 1, 3]),
        ("damaged == 'en'", [0]),
        ("damaged != 'en'", [1, 2, 3]),
    ],
)
def test_rows_are_chosen(text, rows):
    mask = parse_where(text, dict.fromkeys(ROWS.schema.names), "t.csv").mask(ROWS)
    assert mask.dtype == bool
    assert mask.nonzero()[0].tolist() == rows


def test_the_columns_that_are_looked_at_are_known():
    known = dict.fromkeys(ROWS.schema.names)
    assert parse_where("lang == 'a' and 0 < size", known, "t").columns == {
        "lang",
        "size",
    }


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("lang =", "invalid syntax"),
        ("", "is not a valid condition"),
        ("lang", "lang is not a comparison"),
        ("lang + 'a'", "is not a comparison"),
        ("__import__('os').system('ls') == 1", "is not a column"),
        ("lang == size", "size is neither text nor a number"),
        ("lang == None", "None is neither text nor a number"),
        ("lang == -'a'", "is neither text nor a number"),
        ("lang is 'a'", "`is` compares nothing"),
        ("lang in 'en'", "after `in`, 'en' is not a list"),
        ("lang in ()", "is not a list"),
        ("lang in ('a', 1)", "mixes text, numbers or"),
        ("good in (True, 2)", "mixes text, numbers or"),
        ("lang == 'a' and (lambda: 1)()", "is not a comparison"),
        ("lang == 'a'\x00", "is not a valid condition"),
        ("not " * 3000 + "lang == 'a'", "is not a valid condition"),
        ("lang == '" + "a" * 3000 + "'", "is not a valid condition"),
    ],
)
def test_what_is_no_condition_is_refused(text, seen):
    with pytest.raises(SpecError, match=r"data.where = ") as error:
        parse_where(text, dict.fromkeys(ROWS.schema.names), "t.csv")
    assert seen in error.value.message
    assert "known are == != < <= > >= in, not in" in error.value.action


def test_a_column_that_is_not_there_is_told():
    with pytest.raises(SpecError, match=r"names 'nix', which t.csv lacks; it has lang"):
        parse_where("nix == 1", dict.fromkeys(ROWS.schema.names), "t.csv")


@pytest.mark.parametrize(("column", "value"), [("lang", "5"), ("many", "5")])
def test_text_is_not_compared_with_numbers(column, value):
    where = parse_where(f"{column} < {value}", {column: None}, "t.csv")
    with pytest.raises(SpecError, match=rf"compares {column} with 5, but in t.csv"):
        where.mask(ROWS)


@pytest.mark.parametrize("text", ["lang == '\\ud800'", "size < 1" + "0" * 400])
def test_a_value_that_no_column_can_have_is_refused(text):
    where = parse_where(text, dict.fromkeys(ROWS.schema.names), "t.csv")
    with pytest.raises(SpecError, match=r"data\.where = .* compares"):
        where.mask(ROWS)
