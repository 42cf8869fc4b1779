"""Documents of long texts."""

from dataclasses import replace

import pytest

from headrace.data.sources.opening import open_source
from headrace.errors import SourceError
from headrace.media.chunks import Reading
from headrace.settings import Settings

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
