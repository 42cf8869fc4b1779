import io

import pytest

from headrace.data.sources.encodings.detection import Encoding
from headrace.data.sources.encodings.lines import Lines, decoded, in_utf_8, in_utf_8_by
from headrace.data.sources.places.files import File
from headrace.errors import SourceError
from headrace.media.chunks import Reading, Source, split_in_name


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
