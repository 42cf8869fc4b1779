import json

import pytest

from headrace.data.sources.tables import jsonl, tabular
from headrace.errors import SourceError, SpecError

OBJECTS = [{"text": f"t{row}", "label": row % 2, "more": [row]} for row in range(9)]


@pytest.fixture
def texts(read):
    return lambda uri, **options: read(uri, medium="text", **options)


def _lines(objects):
    return "".join(json.dumps(one) + "\n" for one in objects).encode()


@pytest.mark.parametrize(
    "data", [_lines(OBJECTS), json.dumps(OBJECTS, indent=1).encode()]
)
@pytest.mark.parametrize("at_once", [8, 2**20])
def test_objects_are_rows(make, texts, monkeypatch, data, at_once):
    monkeypatch.setattr(tabular, "ROWS_AT_ONCE", at_once)
    source, chunks = texts(make.file("a.json", data))
    assert source.kind == "table"
    assert [item for chunk in chunks for item in chunk.items] == [
        f"t{row}".encode() for row in range(9)
    ]
    assert chunks[0].labels[:3] == ["0", "1", "0"]
    assert "JSON: " in source.notes[0]


@pytest.mark.parametrize("indent", [None, 1])
def test_rows_may_be_under_a_key(make, texts, indent):
    data = json.dumps({"data": OBJECTS}, indent=indent).encode()
    source, (chunk,) = texts(make.file("a.json", data))
    assert len(chunk.items) == 9
    assert "JSON: an array of objects under 'data'" in source.notes[0]
    with pytest.raises(SourceError, match=r"other keys follow .* rows alone: one"):
        texts(make.file("b.json", data[:-1] + b', "more": [1]}'))
    with pytest.raises(SourceError, match=r"more follows the end of the array"):
        texts(make.file("c.json", data + b" x"))


@pytest.mark.parametrize("limit", [64, 2**24])
def test_where_a_long_first_line_is_cut_off_does_not_count(
    make, texts, monkeypatch, limit
):
    rows = [{"text": f"t{row}", "label": row % 2} for row in range(9)]
    data = json.dumps({"data": rows}).encode()
    monkeypatch.setattr(jsonl, "LINE_LIMIT", limit)
    path = make.file("a.json", data)
    for size in range(16, 64):
        monkeypatch.setattr(jsonl, "_READ_AT_ONCE", size)
        _, (chunk,) = texts(path)
        assert len(chunk.items) == 9


def test_a_first_line_may_be_longer_than_what_is_read_at_once(make, texts, monkeypatch):
    monkeypatch.setattr(jsonl, "_READ_AT_ONCE", 16)
    _, (chunk,) = texts(make.file("a.jsonl", _lines(OBJECTS)))
    assert len(chunk.items) == 9


def test_lines_may_begin_with_lists_of_objects(make, texts):
    rows = [{"turns": [{"a": row}], "text": f"t{row}", "label": "x"} for row in (1, 2)]
    _, (chunk,) = texts(make.file("a.jsonl", _lines(rows)))
    assert chunk.items == [b"t1", b"t2"]
    _, (chunk,) = texts(make.file("b.jsonl", _lines(rows[:1])))
    assert chunk.items == [b"t1"]


def test_an_array_is_read_a_little_at_a_time(make, texts, monkeypatch):
    monkeypatch.setattr(jsonl, "_READ_AT_ONCE", 16)
    _, (chunk,) = texts(make.file("a.json", json.dumps(OBJECTS, indent=1).encode()))
    assert len(chunk.items) == 9


def test_missing_values_and_broken_unicode(make, texts):
    rows = [
        {"text": "a", "label": True},
        {"label": False},
        {"text": None, "label": None},
        {"text": "\ud800", "label": True},
    ]
    _, (chunk,) = texts(make.file("a.jsonl", _lines(rows)))
    assert chunk.items == [b"a", b"", b"", b"\xed\xa0\x80"]
    assert chunk.labels == ["true", "false", "", "true"]


def test_numbers_as_labels(make, texts):
    rows = [{"text": "a", "label": value} for value in (1.0, 2, float("nan"))]
    _, (chunk,) = texts(make.file("a.jsonl", _lines(rows)))
    assert chunk.labels == ["1", "2", ""]


def test_a_bare_nan_among_texts_is_missing(make, texts):
    rows = [{"text": v, "label": v} for v in ("a", float("nan"), "NaN", 2)]
    _, (chunk,) = texts(make.file("a.jsonl", _lines(rows)))
    assert chunk.items == [b"a", b"", b"NaN", b"2"]
    assert chunk.labels == ["a", "", "NaN", "2"]


def test_few_broken_lines_are_empty_and_told(make, texts):
    source, (chunk,) = texts(make.file("a.jsonl", _lines(OBJECTS * 20) + b'{"text": '))
    assert [(f.check, f.count) for f in source.findings] == [("ragged_rows", 1)]
    assert "line 181: it is not valid JSON" in source.findings[0].message
    assert (chunk.items[-1], chunk.labels[-1]) == (b"", "")


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (_lines(OBJECTS) + b"{bad\n", r"1 of 10 rows .* line 10: it is not valid JSON"),
        (
            _lines(OBJECTS) + b"{bad\n",
            r"cannot be read.* Write one object a line, such",
        ),
        (_lines(OBJECTS) + b'{"a": "b\n', r"not valid JSON \(Unterminated string\)"),
        (_lines(OBJECTS) + b'{"a": ' + b"9" * 5000, r"a number has too many digits"),
        (_lines(OBJECTS) + b'{"a":' + b"[" * 99_999, r"it is nested too deeply"),
        (_lines(OBJECTS) + b"[1]\n", r"line 10: it is a list, not an object"),
        (b'{"a": {\n"text": 1}}', r"neither one object a line nor an array"),
        (b'[{"text": "a", "label": 1}, 2]', r"row 2 .* it is a int"),
        (b'[{"text": "a", "label": 1}', r"row 2 .* the array is not closed"),
        (b'[{"text": "a", "label": 1}] x', r"more follows the end of the array"),
        (b'[{"text":' + b"[" * 99_999, r"row 1 of the array is not an object"),
        (b'[{"text": [1], "label": 1}]', r"no column of texts"),
        (b'{"text\\udc80": "a", "label": 1}', r"a column whose name, .* is damaged"),
    ],
)
def test_what_is_no_table_is_refused(make, texts, data, seen):
    with pytest.raises(SourceError, match=seen):
        texts(make.file("a.json", data))


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (
            {"text": {"en": "hi"}, "label": "a"},
            r"no column of texts: .* column text .*",
        ),
        (
            {"text": "hi", "label": {"en": "hi"}},
            r"no column of labels: .* label are .*",
        ),
    ],
)
def test_nested_values_are_told_with_an_example(make, texts, row, seen):
    data = _lines([row, {**row, "more": 1}])
    with pytest.raises(SourceError, match=seen + r'such as \{"en": "hi"\}'):
        texts(make.file("a.jsonl", data))


def test_a_nested_column_is_no_label(make, texts):
    with pytest.raises(SpecError, match=r"data.label = 'more': .* lists or empty"):
        texts(make.file("a.jsonl", _lines(OBJECTS)), label="more")
