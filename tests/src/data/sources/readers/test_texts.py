import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.sources.tables import tabular
from headrace.errors import LimitError, SourceError, SpecError

CLASSES = {f"{label}/{row}.txt": b"%d" % row for row, label in enumerate("abab")}
TABLE = b"text,label\none,a\ntwo,b\n"


@pytest.fixture
def texts(read):
    return lambda uri, **options: read(uri, medium="text", **options)


def _write(make, name, /, **columns):
    path = make.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("pack", ["tree", "zip", "tar"])
def test_a_folder_of_texts_per_class(make, texts, pack):
    source, (chunk,) = texts(getattr(make, pack)({**CLASSES, "README.txt": b"about"}))
    assert (source.kind, source.findings) == ("folder", [])
    assert sorted(zip(chunk.names, chunk.labels, chunk.items, strict=True)) == [
        ("a/0.txt", "a", b"0"),
        ("a/2.txt", "a", b"2"),
        ("b/1.txt", "b", b"1"),
        ("b/3.txt", "b", b"3"),
    ]


WORDS = ("señor, años también", "el niño está aquí", "¡qué rápida!", "plain")


def test_files_that_are_not_utf_8_are_judged_together(make, texts):
    members = {
        f"{label}/{row}.txt": words.encode("latin-1")
        for row, words in enumerate(WORDS)
        for label in "ab"
    }
    members["a/5.txt"] = "déjà".encode()
    source, (chunk,) = texts(make.tree(members))
    assert {item.decode() for item in chunk.items} == {*WORDS, "déjà"}
    (note,) = source.notes
    assert note.endswith("not Unicode were read as Windows-1252 (Latin-1).")


@pytest.mark.parametrize("words", WORDS[:3])
def test_a_file_is_read_in_the_encoding_that_a_table_is(make, texts, words):
    file = {f"{label}/1.txt": words.encode("cp1252") for label in "ab"}
    table = "text,label\n" + "".join(f'"{words}",{label}\n' for label in "ab")
    for tree in (file, {"notes.csv": table.encode("cp1252")}):
        _, (chunk,) = texts(make.tree(tree))
        assert [bytes(item).decode() for item in chunk.items] == [words, words]


def test_a_declared_encoding_is_that_of_files_and_of_tables(make, texts):
    words = "Съешь же ещё"
    tree = make.tree({f"{n}/1.txt": words.encode("koi8-r") for n in "ab"})
    _, (chunk,) = texts(tree, encoding="koi8-r")
    assert chunk.items == [words.encode()] * 2
    table = make.file("t.csv", f"text,label\n{words},a\n{words},b\n".encode("koi8-r"))
    _, (chunk,) = texts(table, encoding="koi8-r")
    assert chunk.items == [words.encode()] * 2
    _, (chunk,) = texts(tree, encoding="utf-8")
    assert chunk.items == [words.encode("koi8-r")] * 2  # each will be a Problem


def test_a_text_outside_of_the_classes_is_reported(make, texts):
    source, _ = texts(make.tree({**CLASSES, "stray.txt": b"x"}))
    assert [(f.check, f.count) for f in source.findings] == [("ignored_files", 1)]


def test_splits_of_folders(make, texts):
    members = {
        f"{split}/{name}": b"x" for split in ("train", "test") for name in CLASSES
    }
    _, chunks = texts(make.tree(members))
    assert sorted((chunk.split, len(chunk.names)) for chunk in chunks) == [
        ("test", 4),
        ("train", 4),
    ]


def test_unlabelled_texts_are_all_files_but_notes(make, texts):
    tree = make.tree({"b.txt": b"2", "a.txt": b"1", "LICENSE.txt": b"free"})
    _, (chunk,) = texts(tree, labelled=False)
    assert (chunk.names, chunk.items) == (["a.txt", "b.txt"], [b"1", b"2"])
    with pytest.raises(SourceError, match=r"Put each text into .* such as 7/00012.txt"):
        texts(tree)


def test_tables_whose_names_tell_their_splits(make, texts):
    parts = ("en.train.csv", "en.dev.csv", "en.test.csv", "zh.train.csv")
    source, chunks = texts(make.tree(dict.fromkeys(parts, TABLE)))
    assert sorted((chunk.names[0], chunk.split) for chunk in chunks) == [
        ("en.dev.csv line 2", "val"),
        ("en.test.csv line 2", "test"),
        ("en.train.csv line 2", "train"),
        ("zh.train.csv line 2", "train"),
    ]
    assert len(source.notes) == 4


def test_parquet_is_read_rather_than_other_tables(make, texts):
    path = make.tree({"t.csv": TABLE, "README.md": b"about"})
    _write(make, "images/t.parquet", text=["three"], label=["c"])
    source, (chunk,) = texts(path)
    assert (chunk.items, chunk.labels) == ([b"three"], ["c"])
    assert source.notes[0].endswith("1 other files were not read, such as t.csv.")
    (finding,) = source.findings
    assert (finding.check, finding.count) == ("unread_tables", 1)
    assert "t.csv has another format or other columns than " in finding.message


def test_other_tables_are_read_where_parquet_lacks_a_column(make, texts):
    path = make.tree({"t.csv": TABLE})
    _write(make, "images/t.parquet", text=["three"])
    _, (chunk,) = texts(path)
    assert chunk.items == [b"one", b"two"]


def test_tables_without_labels_are_left_out(make, texts):
    members = {"train.csv": TABLE, "test.csv": b"id,text\n1,one\n2,two\n3,three\n"}
    source, (chunk,) = texts(make.tree(members))
    assert (chunk.names[0], chunk.split) == ("train.csv line 2", "train")
    assert "such as test.csv" in source.notes[0]


def test_tables_of_different_columns_are_refused(make, texts):
    members = {"x.csv": TABLE, "y.csv": b"review,stars\none,a\ntwo,b\n"}
    seen = r"tables with different columns: .*x.csv \(text, label\); .*y.csv"
    with pytest.raises(SourceError, match=seen):
        texts(make.tree(members))


def test_a_table_without_a_suffix_is_read(make, texts):
    lines = b"ham\tone two\nspam\tthree\n" * 9
    _, (chunk,) = texts(make.zip({"SMSSpamCollection": lines, "readme": b"about"}))
    assert chunk.items[:2] == [b"one two", b"three"]


def test_a_broken_table_in_a_folder_is_refused(make, texts):
    broken = b"text,label\none,a\ntwo\nthree,b,c\n"
    with pytest.raises(SourceError, match=r"bad.csv: 2 of 3 rows cannot be read"):
        texts(make.tree({"bad.csv": broken, "t.csv": TABLE}))
    with pytest.raises(SourceError, match=r"bad.csv is text, but no delimiter"):
        texts(make.tree({"bad.csv": b"no table\n"}, "other"))


def test_a_table_may_name_texts(make, texts):
    names = {f"{row}.txt": b"%d" % row for row in range(4)}
    table = "file,label\n" + "".join(f"{name},{name[0] in '02'}\n" for name in names)
    source, (chunk,) = texts(make.tree({**names, "m.csv": table.encode()}))
    assert source.kind == "listed"
    assert (chunk.items, chunk.labels[0]) == (list(names.values()), "True")


def test_a_table_beside_classes_is_read_where_it_names_its_texts(make, texts):
    source, _ = texts(make.tree({**CLASSES, "notes.csv": b"who,what\nann,x\nbob,y\n"}))
    assert source.kind == "folder"
    source, _ = texts(make.tree({**CLASSES, "t.csv": TABLE}, "other"))
    assert source.kind == "table"


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(["one", None, "三"]),
        pa.array(["one", None, "三"], pa.large_string()),
        pa.array(["one", None, "三"]).dictionary_encode(),
    ],
)
def test_parquet_of_texts(make, texts, cells):
    path = _write(make, "t.parquet", text=cells, label=[1, None, 3], who=[7, 8, 9])
    source, (chunk,) = texts(path, group="who")
    assert source.notes == [
        f"{path}: Parquet; texts in text, labels in label, groups in who."
    ]
    assert chunk.items == [b"one", b"", "三".encode()]
    assert (chunk.labels, chunk.groups) == (["1", "", "3"], ["7", "8", "9"])
    assert chunk.names[2] == "t.parquet row 3"


def test_parquet_of_bytes_is_text_where_it_is_named(make, texts):
    path = _write(make, "t.parquet", body=[b"a\xff", b"b"], label=[True, False])
    _, (chunk,) = texts(path, item="body")
    assert (chunk.items, chunk.labels) == ([b"a\xff", b"b"], ["true", "false"])


def test_conditions_and_splits_of_parquet(make, texts):
    path = _write(
        make,
        "t.parquet",
        text=["a", "b", "c", "d"],
        label=["x", "y", "x", "y"],
        split=["test", "train", "test", "val"],
        lang=["en", "en", "zh", "en"],
    )
    _, chunks = texts(path, where={"lang": "en"})
    assert [(chunk.split, chunk.items, chunk.names) for chunk in chunks] == [
        ("test", [b"a"], ["t.parquet row 1"]),
        ("train", [b"b"], ["t.parquet row 2"]),
        ("val", [b"d"], ["t.parquet row 4"]),
    ]
    with pytest.raises(SpecError, match=r"'lang': 'de'.* fits none of the 4 rows"):
        texts(path, where={"lang": "de"})


@pytest.mark.parametrize(
    ("columns", "options", "seen"),
    [
        ({"label": [1, 2], "size": [3, 4]}, {}, "no column of texts"),
        (
            {"text": ["a", "b"], "label": ["c", "d"]},
            {"item": "label"},
            "no column of labels",
        ),
        ({"text": ["a", "b"], "label": [1.5, 2]}, {}, "is 1.5, which is no label"),
    ],
)
def test_parquet_without_texts_or_labels_is_refused(
    make, texts, columns, options, seen
):
    with pytest.raises(SourceError, match=seen):
        texts(_write(make, "t.parquet", **columns), **options)


@pytest.mark.parametrize("key", ["item", "label", "group"])
def test_columns_need_a_table(make, read, key):
    with pytest.raises(SpecError, match=rf"data.{key} = 'x' needs a table, which"):
        read(make.tree(CLASSES), medium="text", **{key: "x"})


def test_tables_of_images_have_groups_and_conditions(make, read):
    path = _write(
        make,
        "i.parquet",
        pixels=[[1, 2], [3, 4], [5, 6]],
        image=[b"a", b"b", b"c"],
        kind=["x", "y", "x"],
        who=["ann", "bob", "cy"],
    )
    _, (chunk,) = read(
        path, item="pixels", label="kind", group="who", where={"kind": "x"}
    )
    assert np.array_equal(chunk.items, [[1, 2], [5, 6]])
    assert (chunk.labels, chunk.groups) == (["x", "x"], ["ann", "cy"])
    assert chunk.names == ["i.parquet row 1", "i.parquet row 3"]
    with pytest.raises(SpecError, match=r"data.item = 'nix' is not a column of"):
        read(path, item="nix")
    with pytest.raises(SpecError, match=r"fits none of the 3 rows"):
        read(path, label="kind", where={"who": "dan"})


def test_a_limit_chooses_no_table(make, read, monkeypatch):
    wide = "text;label;x;y\n" + "some words;a;1;2\nother words;b;3;4\n" * 3
    folder = make.tree(
        {"easy": b"text;label\nwords;a\nmore;b\n", "hard": wide.encode()}
    )
    _, chunks = read(folder, medium="text")
    assert sum(len(chunk.items) for chunk in chunks) == 8
    monkeypatch.setattr(tabular, "MAX_COLUMNS", 3)
    with pytest.raises(LimitError, match=r"hard has 4 columns .* the limit is 3"):
        read(folder, medium="text")


def _rows(head, rows):
    lines = [b"words %d here\t%s\n" % (n, (b"a", b"b")[n % 2]) for n in range(rows)]
    return head + b"".join(lines)


@pytest.mark.parametrize("suffix", ["", ".txt"])
@pytest.mark.parametrize(
    ("damaged", "seen"),
    [
        (
            gzip.compress(_rows(b"text\tlabel\n", 9), mtime=0)[:-9],
            "is damaged or cut short",
        ),
        (bytes(500), "is not text"),
        (_rows(b"text\tlabel\n", 9) + b"x\n" * 2, "2 of 11 rows cannot be read"),
    ],
)
def test_a_damaged_table_without_a_suffix_is_refused(
    make, texts, suffix, damaged, seen
):
    whole = _rows(b"text\tlabel\n", 9)
    names = {"train": whole, "test_easy": whole, "test_hard": damaged}
    members = {f"{name}{suffix}": data for name, data in names.items()}
    with pytest.raises(SourceError, match=f"test_hard{suffix} ?:?.*{seen}"):
        texts(make.tree(members))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("test_hard.csv", _rows(b"text\tlable\n", 9), "other columns than"),
        ("test_hard.csv", _rows(b"txet\tlabel\n", 9), "other columns than"),
        ("test_hard.csv", _rows(b"", 9), "other columns than"),
        ("test_hard.csv", _rows(b"text\tlabel\tlabel\n", 9), "is text, but no"),
        ("test_hard.csv", b"text,lable,n\nwo,a,1\nrd,a,2\n", "no column of labels"),
        ("test_easy.tsv", _rows(b"text\tlabel\n", 9), "has another format"),
        ("_SUCCESS", b"", "is empty"),
    ],
)
def test_a_table_that_is_not_read_is_told(make, texts, name, data, reason):
    whole = _rows(b"text\tlabel\n", 9)
    suffix = ".csv" if "." in name else ""
    members = {f"train{suffix}": whole, f"test_easy{suffix}": whole, name: data}
    source, chunks = texts(make.tree(members))
    assert sum(len(chunk.items) for chunk in chunks) == 18
    (finding,) = source.findings
    assert (finding.check, finding.count) == ("unread_tables", 1)
    assert name in finding.message and reason in finding.message


@pytest.mark.parametrize("row", [{"text": ["a"], "label": "x"}, {"label": ["x"]}])
def test_a_table_with_the_columns_of_the_others_is_refused(make, texts, row):
    line = json.dumps({"text": "one", **row}).encode() + b"\n"
    with pytest.raises(SourceError, match=r"test_hard\.jsonl has no column of"):
        texts(make.tree({"train.csv": TABLE, "test_hard.jsonl": line * 9}))
