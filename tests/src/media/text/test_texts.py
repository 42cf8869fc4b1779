"""The form of texts, and what a model is called with."""

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from headrace import media
from headrace.errors import InputError, SourceError, SpecError
from headrace.media.chunks import Chunk
from headrace.media.text import MEDIUM as text
from headrace.pipeline.data import DataSpec
from headrace.records import DataDescription, Form

TEXTS = ["Hi", "", "时间 ok", "é"]
PAYLOAD = text.from_column(pa.array(TEXTS), (16,))
DATA = DataDescription(medium="text", shape=(16,), classes=("a", "b"))


def test_a_text_is_its_bytes_and_zeros():
    assert PAYLOAD.dtype == text.DTYPE
    assert PAYLOAD.shape == (4, 16)
    assert PAYLOAD[0].tolist() == [72, 105] + [0] * 14
    assert bytes(PAYLOAD[2]).rstrip(b"\0").decode() == "时间 ok"


def test_columns_of_strings_come_and_go():
    column = text.as_column(PAYLOAD)

    assert column.type == pa.string()
    assert column.to_pylist() == TEXTS
    assert np.array_equal(text.from_column(column, (16,)), PAYLOAD)
    assert np.array_equal(text.from_column(column[1:3], (16,)), PAYLOAD[1:3])
    large = column.cast(pa.large_string())
    assert np.array_equal(text.from_column(large, (16,)), PAYLOAD)
    assert text.from_column(column[:0], (16,)).shape == (0, 16)
    assert text.as_column(PAYLOAD[:0]).to_pylist() == []


def test_raw_texts_are_strings():
    raw = text.raw(PAYLOAD)

    assert raw.dtype == object
    assert raw.tolist() == TEXTS
    assert [variant.tolist() for variant in text.variants(PAYLOAD)] == [TEXTS]


def test_fit_pads():
    fitted = text.fit(PAYLOAD, (20,))

    assert fitted.payload.shape == (4, 20)
    assert text.raw(fitted.payload).tolist() == TEXTS
    assert fitted.valid.all()
    assert not fitted.notes


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (3, ["abc", "时", "a", "éa"]),
        (4, ["abcd", "时", "a时", "éa"]),
        (5, ["abcde", "时", "a时", "éaé"]),
        (6, ["abcdef", "时间", "a时", "éaéa"]),
    ],
)
def test_fit_cuts_between_characters(width, expected):
    column = pa.array(["abcdefgh", "时间时间", "a时间", "éaéa"])

    fitted = text.fit(text.from_column(column, (16,)), (width,))

    assert text.raw(fitted.payload).tolist() == expected
    longer = sum(len(item.encode()) > width for item in column.to_pylist())
    assert fitted.notes == {f"cut to {width} bytes": longer}


def test_fit_cuts_characters_of_four_bytes():
    payload = text.from_column(pa.array(["a😀", "😀😀"]), (8,))

    assert text.raw(text.fit(payload, (4,)).payload).tolist() == ["a", "😀"]
    assert text.raw(text.fit(payload, (7,)).payload).tolist() == ["a😀", "😀"]
    assert text.fit(payload, (7,)).notes == {"cut to 7 bytes": 1}


def test_the_form_is_what_is_declared():
    declared = DataSpec(source="x", shape=(512,), mask=("phone",))

    assert text.form_of(declared) == Form(shape=(512,), mask=("phone",))
    assert text.form_of(DataSpec(source="x")) == Form()


@pytest.mark.parametrize("shape", [(3,), (28, 28, 1), (1_000_000,)])
def test_a_shape_of_something_else_is_refused(shape):
    with pytest.raises(SpecError, match=r"data\.shape is .*; a text is \[bytes\]"):
        text.form_of(DataSpec(source="x", shape=shape))


@pytest.mark.parametrize("field", [{"sample_rate_hz": 8000}, {"seconds": 2.5}])
def test_fields_of_sounds_are_refused(field):
    ((name, value),) = field.items()
    with pytest.raises(
        SpecError,
        match=rf"data\.{name} is {value}, which is not a field of the medium text",
    ):
        media.form_of(DataSpec(source="x", **field), "text")


def test_the_usual_shape_is_the_longest_or_the_declared_one():
    shapes = Counter({(64,): 90, (128,): 9, (512,): 1})

    assert text.usual_shape(shapes, Form()) == (512,)
    assert text.usual_shape(shapes, Form(shape=(100,))) == (100,)
    assert text.usual_shape(Counter(), Form()) == (64,)


def test_arrays_are_refused():
    array = np.zeros((2, 3))
    with pytest.raises(
        SourceError, match=r"x\.npz: x\[0\] is from an array of float64"
    ):
        text.decode_array(array, Form(), ["x[0]", "x[1]"], "x.npz", None)


@pytest.mark.parametrize(
    "x",
    [
        ["See\r\nyou ", "时间"],
        ("See\nyou", "时间"),
        np.array(["See\nyou", "时间"]),
        np.array(["See\nyou", "\ufeff时间"], object),
        pd.Series(["See\nyou", "时间"]),
    ],
)
def test_texts_are_given_as_they_were_in_training(x):
    taken = text.check_input(x, DATA)

    assert taken.dtype == object
    assert taken.tolist() == ["See\nyou", "时间"]


def test_one_text_is_taken():
    assert text.check_input("Hi", DATA).tolist() == ["Hi"]
    assert text.check_input(np.array("Hi"), DATA).tolist() == ["Hi"]


def test_input_is_cut_and_masked_as_in_training():
    data = DATA.model_copy(update={"mask": ("phone",)})

    assert text.check_input(["一二三四五六七"], data).tolist() == ["一二三四五"]
    assert text.check_input(["13800138000 now"], data).tolist() == ["<PHONE> now"]


@pytest.mark.parametrize(
    ("x", "seen"),
    [
        (b"Hi", "The input is bytes"),
        (3, "The input is int"),
        (None, "The input is NoneType"),
        ([], "The input is no texts"),
        (np.array([]), "The input is no texts"),
        ([["Hi"]], r"The input has shape \(1, 1\)"),
        (np.array([["Hi"]]), r"The input has shape \(1, 1\)"),
        ([b"Hi"], "Item 0 of the input is bytes b'Hi'"),
        (["Hi", 3], "Item 1 of the input is int 3"),
        (np.array([1.5, 2]), "Item 0 of the input is float 1.5"),
        (["Hi", float("nan")], "Item 1 of the input is float nan"),
        (["Hi", None], "Item 1 of the input is NoneType"),
        (["Hi", " \n"], "Item 1 of the input is an empty text"),
        (["\u200b"], "Item 0 of the input is an empty text"),
        (["a\0b"], "Item 0 of the input holds a NUL character"),
        (["a\ud83d"], "Item 0 of the input holds half a character at 1"),
    ],
)
def test_other_input_is_refused(x, seen):
    with pytest.raises(InputError, match=seen):
        text.check_input(x, DATA)


def test_nothing_has_to_be_declared_of_texts():
    assert text.suggest([]) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_blank_lines_between_documents_are_suggested_in_any_unicode(encoding, line_end):
    written = f"One{line_end}two.{line_end * 2}".replace("One", "\u4e00") * 30
    chunk = Chunk(None, [written.encode(encoding)], [""], ["a.txt"])
    assert text.suggest([chunk]) == {"separator": "\n\n"}


def test_there_is_no_preprocessing_of_all_texts():
    assert text.preprocessing(DATA) is None
