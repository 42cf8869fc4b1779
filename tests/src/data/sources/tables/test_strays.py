import pytest

from headrace.data.sources.tables import delimited
from headrace.data.sources.tables.dialects import Dialect, Row
from headrace.data.sources.tables.strays import (
    Pattern,
    StrayQuotes,
    pattern_of,
    separate_rows,
)

KINDS = ("good", "bad", "odd")


@pytest.fixture
def texts(read):
    return lambda uri, **options: read(uri, medium="text", **options)


def _rows(chunks):
    return [
        (label, item.decode())
        for chunk in chunks
        for label, item in zip(chunk.labels, chunk.items, strict=True)
    ]


def _many(count=200):
    return [(KINDS[row % 3], f"text {row} of many") for row in range(count)]


def _told(source):
    return [finding.message for finding in source.findings]


@pytest.mark.parametrize("delimiter", ["\t", ","])
@pytest.mark.parametrize("is_first", [True, False])
def test_rows_between_two_stray_quotes_stay_rows(make, texts, delimiter, is_first):
    rows = _many()
    rows[49] = (rows[49][0], '"' + rows[49][1])
    rows[109] = (rows[109][0], rows[109][1] + '"')
    lines = [delimiter.join(row if is_first else row[::-1]) for row in rows]
    header = delimiter.join(("label", "text") if is_first else ("text", "label"))
    data = "\n".join([header, *lines])
    source, chunks = texts(make.file("a.csv", data.encode()))
    assert _rows(chunks) == rows
    assert source.findings == []
    assert "quotes taken as text, with a header (a quote in line 51" in source.notes[0]
    assert "line 51 would make 61 lines one)" in source.notes[0]


def test_where_other_quotes_count_stray_ones_are_told(make, texts):
    rows = [
        (label, f"{text}{', or so' * (row % 2)}")
        for row, (label, text) in enumerate(_many())
    ]
    rows[60:64] = [(label, "plain") for label, _ in rows[60:64]]
    lines = [
        f'{label},"{text}"' if "," in text else f"{label},{text}"
        for label, text in rows
    ]
    lines[60] = f'{rows[60][0]},"plain'
    lines[63] += '"'
    rows[60], rows[63] = (rows[60][0], '"plain'), (rows[63][0], 'plain"')
    source, chunks = texts(make.file("a.csv", "\n".join(lines).encode()))
    assert _rows(chunks) == rows
    assert _told(source) == [
        f"{source.uri}: 4 rows were read line by line: a quote in line 61 would make "
        "one row of 4 lines. Close or remove it."
    ]


def test_stray_quotes_are_told_where_only_later_rows_need_quotes(
    make, texts, monkeypatch
):
    monkeypatch.setattr(delimited, "SAMPLE_CHARACTERS", 2000)
    rows = _many(300)
    lines = [f"{text},{label}" for label, text in rows]
    lines[10], lines[20] = f'"a,{rows[10][0]}', f'b"c,{rows[20][0]}'
    lines[200:] = [f'"{text}, or so",{label}' for label, text in rows[200:]]
    data = "\n".join(["text,label", *lines])
    source, chunks = texts(make.file("a.csv", data.encode()))
    assert [label for label, _ in _rows(chunks)] == [label for label, _ in rows]
    assert _told(source) == [
        f"{source.uri}: 11 rows were read line by line: a quote in line 12 would make "
        "one row of 11 lines. Close or remove it."
    ]


@pytest.mark.parametrize(
    "text",
    [
        "once, here\nand there",
        "one\ntwo, more",
        "Rome, Italy\nParis, France\n" * 6 + "no more",
        "Rome, Italy\n" * 11 + "Bonn, Germany",
        "say\ngood,this\nbad,that",
        "a line\n\ngood,this",
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_texts_of_several_lines_stay_whole(make, texts, text, is_first):
    rows = [*_many(60), ("good", text), *_many(60)]
    cells = [(label, f'"{text}"') for label, text in rows]
    lines = [",".join(row if is_first else row[::-1]) for row in cells]
    source, chunks = texts(make.file("a.csv", "\n".join(lines).encode()))
    assert _rows(chunks) == rows
    assert source.findings == []


def test_what_cannot_be_decided_is_told(make, texts):
    lines = [f"{row},text {row}" for row in range(100)]
    lines[40] = lines[40].replace(",", ',"')
    lines[60] += '"'
    data = "\n".join(["id,text", *lines])
    source, chunks = texts(make.file("a.csv", data.encode()), labelled=False)
    assert len(_rows(chunks)) == 80
    assert _told(source) == [
        f"{source.uri}: a quote in line 42 makes one row of 21 lines, each of which "
        "could be a row. If they are rows, close or remove it."
    ]


def test_rows_after_a_quote_that_is_not_closed_are_kept(make, texts):
    lines = [f'"{text}, or so",{label}' for label, text in _many()]
    lines[50] = '"' + lines[50]
    _, chunks = texts(make.file("a.csv", "\n".join(["text,label", *lines]).encode()))
    assert ("odd", "text 50 of many, or so") not in _rows(chunks)
    assert ("good", "text 51 of many, or so") in _rows(chunks)


@pytest.mark.parametrize("problem", ["a quote is opened and not closed", ""])
def test_blank_lines_between_rows_are_no_rows(problem):
    row = Row(5, [], problem, ['"a,x\n', "\n", "b,x\r\n", "\r\n", "c,x\n", "\n"])
    strays = StrayQuotes()
    known = Pattern(1, frozenset("x"))
    rows = separate_rows(row, Dialect(",", True, "", 2), known, strays)
    assert [(one.line, one.cells) for one in rows] == [
        (5, ['"a', "x"]),
        (7, ["b", "x"]),
        (9, ["c", "x"]),
    ]
    assert (strays.rows, strays.first) == (3, (5, 6))


def test_a_quote_that_is_not_closed_before_blank_lines_is_one_row(make, texts):
    lines = [f'"{text}, or so",{label}' for label, text in _many()]
    data = "\n".join(["text,label", *lines, '"no end, ever', "", ""])
    source, _ = texts(make.file("a.csv", data.encode()))
    assert [(f.check, f.count) for f in source.findings] == [("ragged_rows", 1)]


def test_a_column_that_is_nearly_empty_hides_no_stray_quotes(make, texts):
    rows = _many()
    rows[49] = (rows[49][0], '"' + rows[49][1])
    rows[109] = (rows[109][0], rows[109][1] + '"')
    notes = ["seen" if row % 100 == 5 else "" for row in range(len(rows))]
    lines = [
        f"{text},{label},{note}"
        for (label, text), note in zip(rows, notes, strict=True)
    ]
    data = "\n".join(["text,label,note", *lines])
    source, chunks = texts(make.file("a.csv", data.encode()))
    assert _rows(chunks) == rows
    assert "line 51 would make 61 lines one)" in source.notes[0]


def test_lines_of_a_broken_text_are_no_rows(make, texts):
    lines = [f'"{text}, or so",{label}' for label, text in _many(400)]
    lines[50] = '"one, two\n"three, four'
    source, chunks = texts(make.file("a.csv", "\n".join(lines).encode()))
    assert {label for label, _ in _rows(chunks)} == {*KINDS, ""}
    assert [finding.check for finding in source.findings] == ["ragged_rows"]


@pytest.mark.parametrize(
    ("rows", "place", "values"),
    [
        ([("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")], 1, {"x", "y"}),
        ([("", "1"), ("", "2")], -1, set()),
        ([], -1, set()),
        ([("a", ""), ("b", "x"), ("a", ""), ("b", "")], 0, {"a", "b"}),
        ([("a", "x"), ("b", "x"), ("a", "x"), ("b", "")], 0, {"a", "b"}),
        ([("a", "x"), ("b", "x"), ("c", "x"), ("d", "")], 1, {"x"}),
    ],
)
def test_the_column_whose_values_come_again(rows, place, values):
    assert pattern_of(rows, 0.5) == Pattern(place, frozenset(values), 0.5)
