import io
from dataclasses import replace

import pytest

from headrace.data.sources.encodings.detection import Encoding
from headrace.data.sources.encodings.lines import Lines, decoded, in_utf_8, in_utf_8_by
from headrace.data.sources.opening import open_source
from headrace.data.sources.places.files import File
from headrace.errors import SourceError
from headrace.media.chunks import Reading, Source, split_in_name
from headrace.settings import Settings


def _lines(data, newline="\n", codec="utf-8"):
    file = File("x", len(data), lambda: io.BytesIO(data))
    return list(Lines(decoded(file, Encoding(codec, "UTF-8")), "x", newline))


def test_line_ends_are_kept_and_marks_are_not():
    assert _lines(b"a\r\nb\rc\n\nd") == ["a\r\n", "b\rc\n", "\n", "d"]
    assert _lines(b"a\rb c\rd", "\r") == ["a\r", "b c\r", "d"]
    assert _lines("\ufeffa\nb".encode(), codec="utf-8-sig") == ["a\n", "b"]
    assert _lines("\ufeffa\n\ufeffb".encode()) == ["a\n", "b"]


def test_a_file_that_changes_while_it_is_read_is_told():
    with pytest.raises(SourceError, match=r"x is not UTF-8 any more: invalid start"):
        _lines(b"a\xff")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000.parquet", "train"),
        ("eng_Latn.dev.tsv", "val"),
        ("my-test.csv", "test"),
        ("test/part-0.csv", "test"),
        ("train-test.csv", None),
        ("train_val.csv", "train"),
        ("latest.csv", None),
        ("a.csv", None),
    ],
)
def test_the_split_in_a_name(name, split):
    assert split_in_name(name) == split


def test_a_text_that_is_cut_in_its_encoding_is_left_to_its_decoder():
    reading = Reading("text", encoding="utf-16-le")
    source = Source(kind="folder", uri="x", reading=reading)
    whole = "käse".encode("utf-16-le")
    texts = [whole, whole[:-1]]
    assert in_utf_8(texts, source, []) == ["käse".encode(), whole[:-1]]


def test_an_encoding_that_is_known_is_used_where_text_is_not_unicode():
    for text in ("é", "plain", "Kundenäußerung"):
        assert in_utf_8_by(text.encode("cp1252"), "cp1252") == text.encode()
        assert in_utf_8_by(text.encode(), "cp1252") == text.encode()
    assert in_utf_8_by("嗯".encode("gbk"), "gb18030") == "嗯".encode()
    damaged = "你好，世界".encode()[:-1]
    assert in_utf_8_by(damaged, "cp1252") == damaged
    assert in_utf_8_by(b"caf\xe9", "") == b"caf\xe9"


READING = Reading("text", "generation", labelled=False, separator="\n\n")


def _documents(source, reading=READING):
    with open_source(str(source), Settings(), reading) as opened:
        chunks = list(opened.chunks)
    return [
        pair for chunk in chunks for pair in zip(chunk.names, chunk.items, strict=True)
    ]


def test_a_text_is_parted_and_blank_documents_are_left_out(tmp_path):
    source = tmp_path / "plays.txt"
    source.write_bytes(b"One.\r\nMore.\r\n\r\nTwo.\n\n \n\nThree.\n")
    assert _documents(source) == [
        ("plays.txt document 1", b"One.\nMore."),
        ("plays.txt document 2", b"Two."),
        ("plays.txt document 4", b"Three.\n"),
    ]


def test_the_texts_of_a_folder_are_each_parted(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"{name}1\n\n{name}2")
    assert [item for _, item in _documents(tmp_path)] == [b"a1", b"a2", b"b1", b"b2"]


def test_a_text_in_another_encoding_is_parted_too(tmp_path):
    source = tmp_path / "poems.txt"
    for encoding in ("utf-16", "gb18030"):
        source.write_text("春眠不觉晓。\n\n处处闻啼鸟。", encoding=encoding)
        texts = [item.decode() for _, item in _documents(source)]
        assert texts == ["春眠不觉晓。", "处处闻啼鸟。"]


def test_texts_without_documents_do_not_hide_the_separator(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text(" ")
    (tmp_path / "e.txt").write_text("One.\n\nTwo.")
    assert [item for _, item in _documents(tmp_path)] == [b"One.", b"Two."]


def test_a_separator_that_no_text_has_is_refused(tmp_path):
    source = tmp_path / "plays.txt"
    source.write_text("One.\nTwo.")
    with pytest.raises(SourceError, match=r"No text of .* has the separator '\\n\\n'"):
        _documents(source)


def test_many_documents_come_in_several_chunks(tmp_path):
    source = tmp_path / "long.txt"
    source.write_text("\n\n".join(map(str, range(70_000))))
    with open_source(str(source), Settings(), READING) as opened:
        sizes = [len(chunk.items) for chunk in opened.chunks]
    assert sum(sizes) == 70_000
    assert len(sizes) > 1
    assert opened.notes == ["1 text parted at '\\n\\n' into 70,000 documents."]


def test_a_separator_may_have_the_line_ends_of_the_text(tmp_path):
    source = tmp_path / "plays.txt"
    source.write_bytes(b"One.\r\n\r\nTwo.")
    reading = replace(READING, separator="\r\n\r\n")
    assert [item for _, item in _documents(source, reading)] == [b"One.", b"Two."]
