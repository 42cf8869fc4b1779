import bz2
import csv
import gzip
import io
import lzma

import pytest

from headrace.data.sources.encodings import lines
from headrace.data.sources.tables import tabular
from headrace.errors import SourceError, SpecError

ROWS = [
    ("good", "nice, very nice"),
    ("bad", 'he said "no"'),
    ("good", "two\nlines; of text"),
    ("bad", "a\ttab | here"),
] * 10


def _written(rows, delimiter=",", header=("label", "text")):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([header, *rows] if header else rows)
    return text.getvalue().encode()


def _rows(chunks):
    return [
        (label, item.decode())
        for chunk in chunks
        for label, item in zip(chunk.labels, chunk.items, strict=True)
    ]


@pytest.fixture
def texts(read):
    return lambda uri, **options: read(uri, medium="text", **options)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("header", [("label", "text"), None])
def test_delimiter_quotes_and_header_are_found(make, texts, delimiter, header):
    source, chunks = texts(make.file("a.csv", _written(ROWS, delimiter, header)))
    assert source.kind == "table"
    assert _rows(chunks) == ROWS
    first = 1 if header is None else 2
    assert chunks[0].names[2:4] == [
        f"a.csv line {first + 2}",
        f"a.csv line {first + 4} (row {first + 3})",
    ]
    assert chunks[0].split is None
    assert [(f.check, f.count) for f in source.findings] == [("rows_of_lines", 10)]
    said = "with a header" if header else "no header"
    assert said in source.notes[0]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_table_is_unpacked(make, texts, pack):
    _, chunks = texts(make.file("a.csv.packed", pack(_written(ROWS))))
    assert _rows(chunks) == ROWS


def test_quotes_that_mean_nothing_are_text(make, texts):
    lines = ["ham\tso good", 'spam\t"win now', "ham\tok", 'ham\tsaid "yes" to it'] * 9
    source, chunks = texts(make.file("Collection", "\n".join(lines).encode()))
    assert _rows(chunks) == [tuple(line.split("\t")) for line in lines]
    assert "tab-separated, quotes taken as text, no header" in source.notes[0]
    assert "texts in column_2, labels in column_1" in source.notes[0]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("header", [("label", "text"), None])
def test_a_first_line_that_names_the_delimiter_is_no_row(
    make, texts, delimiter, header
):
    data = f"sep={delimiter}\r\n".encode() + _written(ROWS, delimiter, header)
    source, chunks = texts(make.file("a.csv", data))
    assert _rows(chunks) == ROWS
    assert ("no header" in source.notes[0]) == (header is None)


def test_the_encoding_is_told(make, texts):
    rows = [
        ("好评", "这个酒店的服务很好，下次还会来住"),
        ("差评", "一点也不好，没有人"),
    ] * 9
    data = _written(rows, header=("标签", "内容")).decode().encode("gbk")
    source, chunks = texts(make.file("a.csv", data))
    assert _rows(chunks) == rows
    assert source.notes == [
        f"{source.uri}: GBK (GB18030), comma-separated, with a header; texts in 内容, "
        "labels in 标签."
    ]


def test_empty_columns_beside_two_are_nothing(make, texts):
    data = b"v1,v2,,,\r\n" + b'ham,"so, good",,,\r\nspam,win \xa35 now,,,\r\n' * 9
    source, chunks = texts(make.file("spam.csv", data))
    assert _rows(chunks)[:2] == [("ham", "so, good"), ("spam", "win £5 now")]
    assert "Windows-1252" in source.notes[0]


def test_files_that_were_joined_with_their_marks_are_one(make, texts):
    part = b"\xef\xbb\xbf" + _written(ROWS, header=None)
    _, chunks = texts(make.file("a.csv", part * 2))
    assert _rows(chunks) == ROWS * 2


def test_carriage_returns_alone_end_lines(make, texts):
    _, chunks = texts(make.file("a.csv", b"label,text\ra,hi\rb,ho\ra,he\rb,hu\r"))
    assert _rows(chunks) == [("a", "hi"), ("b", "ho"), ("a", "he"), ("b", "hu")]


def test_few_uneven_rows_are_empty_and_told(make, texts):
    data = b"label,text,split\n" + b"a,one,train\nb,two,test\n" * 200 + b"b,x\n"
    source, chunks = texts(make.file("a.csv", data))
    assert [(f.check, f.count) for f in source.findings] == [("ragged_rows", 1)]
    assert "line 402: it has 2 cells instead of 3" in source.findings[0].message
    assert sum(len(chunk.labels) for chunk in chunks) == 401
    last = chunks[-1]
    assert (last.items[-1], last.labels[-1], last.split) == (b"", "", "test")
    assert last.unread == [len(last.labels) - 1]


def test_many_uneven_rows_are_refused(make, texts):
    data = b"label,text\n" + b"a,one\nb,two\nb,too,many\n" * 20
    seen = r"20 of 60 rows cannot be read, such as line 4: it has 3 cells instead of 2"
    with pytest.raises(SourceError, match=seen):
        texts(make.file("a.csv", data))


def test_a_quote_that_is_not_closed_is_told(make, texts):
    data = _written(ROWS * 10) + b'bad,"never closed, ever\n'
    source, _ = texts(make.file("a.csv", data))
    assert "a quote is opened and not closed" in source.findings[0].message
    with pytest.raises(SourceError, match=r"a quote is closed within a cell"):
        texts(make.file("b.csv", _written(ROWS) + b'a,"b" c, d\n' * 9))


def test_damaged_bytes_reach_the_medium_as_they_are(make, texts):
    data = "label,text\n" + "a,caf\xe9 one\nb,na\xefve\n" * 50
    path = make.file("a.csv", data.encode() + b"b,b\xffad\n\xffb,ok\n")
    source, (chunk,) = texts(path)
    assert chunk.items[-2:] == [b"b\xffad", b"ok"]
    assert chunk.labels[-2:] == ["b", ""]
    assert "damaged in places" in source.notes[0]


def test_nulls_reach_the_medium_as_they_are(make, texts):
    _, (chunk,) = texts(
        make.file("a.csv", b"label,text\n" + b"a,x\nb,y\n" * 50 + b"b,n\0l\n")
    )
    assert chunk.items[-1] == b"n\0l"


@pytest.mark.parametrize("label", ["", "NA", "nan", "NULL", "None"])
def test_only_an_empty_label_is_missing(make, texts, label):
    data = f"label,text\na,x\nb,y\n{label},z\n"
    _, (chunk,) = texts(make.file("a.csv", data.encode()))
    assert chunk.labels == ["a", "b", label]


def test_rows_come_in_chunks(make, texts, monkeypatch):
    monkeypatch.setattr(tabular, "ROWS_AT_ONCE", 16)
    _, chunks = texts(make.file("a.csv", _written(ROWS)))
    assert [len(chunk.labels) for chunk in chunks] == [16, 16, 8]
    assert chunks[2].names[0] == "a.csv line 42 (row 34)"
    assert _rows(chunks) == ROWS


def test_rows_are_named_by_their_line_and_by_their_row_below_a_line_break(make, texts):
    data = b'text,label\n"a\n\nb",x\n\nc,y\n"d\ne",x\nf,y\n'
    _, (chunk,) = texts(make.file("a.csv", data))
    assert chunk.names == [
        *("a.csv line 2", "a.csv line 6 (row 4)"),
        *("a.csv line 7 (row 5)", "a.csv line 9 (row 6)"),
    ]


def test_an_unreadable_row_is_named_by_its_line(make, texts):
    data = b"label,text\n" + b"a,one\nb,two\n" * 100 + b"a,too,many\n"
    _, (chunk,) = texts(make.file("a.csv", data))
    assert [chunk.names[row] for row in chunk.unread] == ["a.csv line 202"]


TRAILED = "Das Essen war gut, Nr. {0};gut{1}\nNie wieder, Nr. {0};schlecht{1}\n"


@pytest.mark.parametrize(
    "head", ["Text;Label", "Text;Label;", "Text;Label; ", '"Text";"Label";""']
)
@pytest.mark.parametrize("end", ["", ";", "; ", ";;"])
def test_a_delimiter_at_the_end_of_lines_names_no_column(make, texts, head, end):
    rows = "".join(TRAILED.format(row, end) for row in range(20))
    path = make.file("a.csv", f"{head}\n{rows}".encode())
    source, (chunk,) = texts(path, item="Text", label="Label")
    assert (len(chunk.labels), chunk.names[0]) == (40, "a.csv line 2")
    assert (chunk.items[0], chunk.labels[1]) == (
        b"Das Essen war gut, Nr. 0",
        "schlecht",
    )
    assert source.findings == []


def test_a_line_with_the_requested_names_is_the_header_also_if_it_recurs(make, texts):
    data = b"opinion;verdict\nnice;good\nodd;bad\n" * 9
    _, (chunk,) = texts(make.file("a.csv", data), item="opinion", label="verdict")
    assert chunk.labels[:3] == ["good", "bad", "verdict"]


PREFACED = 'Export; "of all\n\nopinion;verdict\n' + "nice;7\nodd;8\n" * 9


def test_the_line_of_the_header_can_be_said(make, texts):
    path = make.file("a.csv", PREFACED.encode())
    source, (chunk,) = texts(path, header=3, label="verdict")
    assert (len(chunk.labels), chunk.names[:2]) == (
        18,
        ["a.csv line 4", "a.csv line 5"],
    )
    assert "with a header; texts in opinion, labels in verdict" in source.notes[0]
    path = make.file("b.csv", b"sep=;\r\n\r\n" + PREFACED.encode())
    _, (chunk,) = texts(path, header=5, label="verdict")
    assert chunk.names[0] == "b.csv line 6"


def test_that_there_is_no_header_can_be_said(make, texts):
    source, (chunk,) = texts(make.file("a.csv", _written(ROWS)), header=0)
    assert (len(chunk.labels), chunk.labels[0]) == (41, "label")
    assert "no header" in source.notes[0]


def test_a_list_has_the_header_that_is_said(make, texts):
    path = make.file("a.csv", b"one\ntwo\nthree\nfour\n")
    _, (chunk,) = texts(path, header=2, labelled=False)
    assert chunk.items == [b"three", b"four"]
    assert chunk.names == ["a.csv line 3", "a.csv line 4"]
    _, (chunk,) = texts(make.file("b.csv", b"text\ntwo\n"), header=0, labelled=False)
    assert chunk.items == [b"text", b"two"]


@pytest.mark.parametrize("header", [20, 2**40])
def test_a_header_below_the_file_is_refused(make, texts, header):
    seen = rf"data.header = {header}: .*a.csv has no such line.* Count its lines from 1"
    with pytest.raises(SpecError, match=seen):
        texts(make.file("a.csv", b"label,text\n" + b"a,one\n" * 18), header=header)


def test_a_header_is_of_tables(make, read):
    with pytest.raises(SpecError, match=r"data.header = 1 needs a table, which"):
        read(make.tree(make.members()), header=1)


def test_a_line_without_end_is_refused(make, texts, monkeypatch):
    monkeypatch.setattr(lines, "LINE_LIMIT", 100)
    data = b"label,text\na,ok\nb,ok\na," + b"x" * 200
    with pytest.raises(SourceError, match=r"line 4, has over 100 characters"):
        texts(make.file("a.csv", data))


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"", "is empty: 0 bytes.*column of texts"),
        (b"\n \n", "holds no rows"),
        (b"label,label,text\na,b,c\n", "has 2 columns named 'label'"),
        (b"one two\nthree\n", "is text, but no delimiter"),
        (b"(lp0\nS'a'\n", "is a Python pickle"),
        (b"<!DOCTYPE html>\n<p>404", "is a web page"),
        (b"%PDF-1.7", "is a PDF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "is not text"),
        (b"label,words\n", "has no column of texts"),
        (b"label,te\xffxt\n" + b"a,plain words\n" * 200, "whose name, .* is damaged"),
    ],
)
def test_what_is_no_table_of_texts_is_refused(make, texts, data, seen):
    with pytest.raises(SourceError, match=seen):
        texts(make.file("a.csv", data))


def test_a_workbook_is_refused(make, texts):
    with pytest.raises(SourceError, match=r"is an Excel workbook.* as CSV"):
        texts(make.zip({"xl/workbook.xml": b"x"}, "a.xlsx"))


def test_a_packed_table_cut_short_or_too_large_is_refused(make, texts):
    packed = gzip.compress(_written(ROWS * 9))
    with pytest.raises(SourceError, match=r"a.csv.gz is damaged or cut short"):
        texts(make.file("a.csv.gz", packed[:-9]))
    large = make.file("b.csv.gz", gzip.compress(b"text,label\n" + b"a,b\n" * 2**20))
    with pytest.raises(SourceError, match=r"b.csv.gz unpacks to .*HEADRACE_MAX_BYTES"):
        texts(large, max_bytes=2**20)


@pytest.mark.parametrize(
    ("header", "row", "columns"),
    [
        ("id,sentence,class", "7,some words,x", ("sentence", "class")),
        ("target,title,text", "x,short,some words", ("text", "target")),
        ("label,words,note", "x,some long words,y", ("words", "label")),
        ("Label,Review Text", "x,some words", ("Review Text", "Label")),
    ],
)
def test_columns_are_found_by_their_names(make, texts, header, row, columns):
    other = row.replace("x", "z").replace("some", "other")
    source, _ = texts(make.file("a.csv", f"{header}\n{row}\n{other}\n".encode()))
    item, label = columns
    assert source.notes[0].endswith(f"texts in {item}, labels in {label}.")


def test_columns_are_those_that_are_named(make, texts):
    data = b"text,title,label,kind,who\nt1,u1,a,x,ann\nt2,u2,b,y,bob\n"
    path = make.file("a.csv", data)
    _, (chunk,) = texts(path, item="title", label="kind", group="who")
    assert chunk.items == [b"u1", b"u2"]
    assert (chunk.labels, chunk.groups) == (["x", "y"], ["ann", "bob"])


@pytest.mark.parametrize("key", ["item", "label", "group"])
def test_a_column_that_is_not_there_is_told(make, texts, key):
    path = make.file("a.csv", b"text,label\nt1,a\nt2,b\n")
    with pytest.raises(
        SpecError, match=rf"data.{key} = 'nix' is not a column of .*; it has"
    ):
        texts(path, **{key: "nix"})


def test_no_labels_are_told_with_the_columns(make, texts):
    path = make.file("a.csv", b"id,text,lang\n1,t1,en\n2,t2,de\n3,t3,en\n4,t4,de\n")
    seen = r"no column of labels .*; it has id \(string\), text \(string\), lang"
    with pytest.raises(SourceError, match=seen) as refused:
        texts(path)
    assert "with data.label (`--label` of headrace new, score and monitor)" in str(
        refused.value
    )
    _, (chunk,) = texts(path, labelled=False)
    assert (chunk.items[0], chunk.labels[0]) == (b"t1", "")


def test_the_only_other_column_of_numbers_holds_those_of_a_regression(make, texts):
    rows = "\n".join(f"{n},flat {n} of town,{n * 1.5 - 9},a{n % 2}" for n in range(20))
    path = make.file("a.csv", f"id,advert,price,town\n{rows}\n".encode())
    _, (chunk,) = texts(path, task="regression")
    assert (chunk.items[2], chunk.labels[2]) == (b"flat 2 of town", "-6.0")
    with pytest.raises(SourceError, match="no column of labels"):
        texts(path)


def test_several_columns_of_numbers_are_told_as_such(make, texts):
    rows = "\n".join(f"flat {n} of town,{n}.5,{n}" for n in range(20))
    path = make.file("a.csv", f"advert,price,area\n{rows}\n".encode())
    seen = r"it has advert \(string\), price \(numbers\), area \(numbers\)"
    with pytest.raises(SourceError, match=seen):
        texts(path, task="regression")


def test_a_split_column_is_believed_where_its_values_name_splits(make, texts):
    head = "text,label,{}\nt1,a,{}\nt2,b,{}\n"
    _, chunks = texts(make.file("a.csv", head.format("set", "train", "dev").encode()))
    assert [chunk.split for chunk in chunks] == ["train", "val"]
    _, chunks = texts(make.file("b.csv", head.format("fold", "1", "2").encode()))
    assert [chunk.split for chunk in chunks] == [None]
    with pytest.raises(SourceError, match=r"has the split 'hold'"):
        texts(make.file("c.csv", head.format("split", "hold", "test").encode()))


def test_a_text_alone_needs_no_table(make, texts):
    source, (chunk,) = texts(make.file("a.txt", b"label,text\na,b\n"), labelled=False)
    assert (source.kind, chunk.items) == ("file", [b"label,text\na,b\n"])
    source, (chunk,) = texts(make.file("b", b"some words\nand, more"), labelled=False)
    assert source.kind == "file"


def test_one_column_of_texts_is_enough(make, texts):
    path = make.file("a.csv", b"text\nhello, world\nbye\n")
    _, (chunk,) = texts(path, labelled=False)
    assert chunk.items == [b"hello, world", b"bye"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz"])
def test_each_line_of_a_table_of_one_column_without_a_header_is_a_text(
    make, texts, name
):
    lines = b"hello, world\nbye\nsee you\n"
    path = make.file(name, gzip.compress(lines) if name.endswith("gz") else lines)
    source, (chunk,) = texts(path, labelled=False)
    assert (source.kind, chunk.items) == ("table", lines.splitlines())
    assert source.notes[0].endswith("one column, no header; texts in column_1.")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_the_column_that_a_model_has_learned_from_is_a_header(make, texts, encoding):
    lines = ["Kundenäußerung", "Es war schön", "", "Alles übel", '""', "Gut", "", ""]
    path = make.file("a.csv", "\r\n".join(lines).encode(encoding))
    source, (chunk,) = texts(path, labelled=False, learned="Kundenäußerung")
    assert chunk.names == [f"a.csv line {line}" for line in (2, 4, 6)]
    assert "one column, with a header; texts in Kundenäußerung" in source.notes[0]
    assert source.item_column == "Kundenäußerung"


def test_the_column_that_a_model_has_learned_from_holds_the_texts(make, texts):
    path = make.file("a.csv", b"what,text\nhello,a long remark\nbye,a longer one\n")
    _, (chunk,) = texts(path, labelled=False, learned="what")
    assert chunk.items == [b"hello", b"bye"]
    _, (chunk,) = texts(path, labelled=False, learned="other")
    assert chunk.items == [b"a long remark", b"a longer one"]


@pytest.mark.parametrize("labelled", [True, False])
def test_the_texts_and_the_labels_are_in_two_columns(make, texts, labelled):
    path = make.file("a.csv", _written(ROWS, header=("Bewertung", "Text")))
    with pytest.raises(SpecError, match="the text and the label are the same column"):
        texts(path, labelled=labelled, item="Bewertung", label="Bewertung")


def test_a_single_text_is_told_as_one(make, texts):
    source, (chunk,) = texts(make.file("a.txt", b"hello\nbye\n"), labelled=False)
    assert len(chunk.items) == 1
    assert source.notes[0].endswith("a.txt: one text; lines of a .csv are a row each.")


def test_lines_beside_other_texts_are_no_table(make, texts):
    make.file("d/notes.csv", b"hello\nbye\n")
    path = make.file("d/a.txt", b"some words").parent
    source, (chunk,) = texts(path, labelled=False)
    assert (source.kind, len(chunk.items)) == ("folder", 2)


def test_the_quotes_of_one_column_enclose_its_texts(make, texts):
    written = ["two,\n\nlines", 'he said "no"', "a\nb\nc", "plain, text", '"so"'] * 9
    text = io.StringIO()
    csv.writer(text).writerows([["text"], *([one] for one in written)])
    path = make.file("a.csv", text.getvalue().encode())
    _, (chunk,) = texts(path, labelled=False)
    assert chunk.items == [one.encode() for one in written]


@pytest.mark.parametrize(
    "lines",
    [
        ['"Come," he said.', 'I said "no"', '"So long"'],
        ['"a quote is opened', "and closed by chance", 'some "lines" later"', '"a" b'],
        ['it has "a quote', 'and another" within'],
    ],
)
def test_the_quotes_of_lines_of_prose_are_text(make, texts, lines):
    path = make.file("a.csv", "\n".join(["text", *lines * 5]).encode())
    _, (chunk,) = texts(path, labelled=False)
    assert chunk.items == [line.encode() for line in lines * 5]


def test_quotes_that_may_merge_rows_of_one_column_are_told(make, texts):
    lines = ["plain"] * 50 + ['"opened'] + ["between"] * 9 + ['closed"'] + ["plain"] * 9
    path = make.file("a.csv", "\n".join(["text", *lines]).encode())
    source, _ = texts(path, labelled=False)
    (finding,) = source.findings
    assert "the longest of 11 lines from line 52" in finding.message


KINDS = ("good", "bad", "odd")


def _many(count=200):
    return [(KINDS[row % 3], f"text {row} of many") for row in range(count)]


def _lines(rows, delimiter=","):
    lines = [delimiter.join(row) for row in rows]
    return "\n".join([delimiter.join(("label", "text")), *lines]).encode()


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_rows_between_two_stray_quotes_stay_rows(make, texts, delimiter):
    rows = _many()
    rows[49] = (rows[49][0], '"' + rows[49][1])
    rows[109] = (rows[109][0], rows[109][1] + '"')
    source, chunks = texts(make.file("a.csv", _lines(rows, delimiter)))
    assert (_rows(chunks), source.findings) == (rows, [])
    assert "quotes taken as text" in source.notes[0]


def test_rows_that_a_quote_makes_one_below_the_first_rows_are_told(make, texts):
    rows = _many(20_000)
    rows[15_000], rows[15_004] = ("good", '"opened'), ("bad", 'closed"')
    source, chunks = texts(make.file("a.tsv", _lines(rows, "\t")))
    assert [item for item in _rows(chunks) if item[1]] == [
        *rows[:15_000],
        *rows[15_005:],
    ]
    (finding,) = source.findings
    assert (finding.check, finding.count) == ("ragged_rows", 5)
    assert "line 15,002: a quote makes several lines one" in finding.message


def test_all_lines_below_a_quote_that_is_not_closed_count(make, texts):
    rows = [(label, f'"{text}, or so"') for label, text in _many(400)]
    rows[390] = ("good", '"never closed')
    rows[391:] = [(label, "plain") for label, _ in rows[391:]]
    with pytest.raises(SourceError, match=r"10 of 400 rows .* line 392: a quote is"):
        texts(make.file("a.csv", _lines(rows)))


@pytest.mark.parametrize(
    "text",
    [
        "here\nand there",
        "one\ntwo, more",
        "say\ngood,this\nbad,that",
        "a line\n\ngood,this",
    ],
)
def test_texts_of_several_lines_stay_whole(make, texts, text):
    rows = [*_many(60), ("good", text), *_many(60)]
    lines = [(label, f'"{text}"') for label, text in rows]
    source, chunks = texts(make.file("a.csv", _lines(lines)))
    assert _rows(chunks) == rows
    assert [(f.check, f.count) for f in source.findings] == [("rows_of_lines", 1)]


def test_classes_in_turn_are_found_by_rows_from_all_over_the_file(make, texts):
    rows = sorted((label, f"{text}, the text") for label, text in _many(20_000))
    source, chunks = texts(make.file("a.csv", _written(rows, header=None)))
    assert _rows(chunks) == rows
    assert "texts in column_2, labels in column_1" in source.notes[0]


def test_two_columns_whose_names_differ_in_case_alone_are_told(make, texts):
    path = make.file("a.csv", b"Label,label,text\na,x,hi\nb,y,ho\n")
    with pytest.raises(SourceError, match="'Label' and 'label' have the same name"):
        texts(path)
    _, (chunk,) = texts(path, label="Label")
    assert chunk.labels == ["a", "b"]
