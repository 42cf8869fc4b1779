"""The form of texts, and what a model is called with."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from headrace import media
from headrace.errors import InputError, SourceError, SpecError
from headrace.media import text
from headrace.media.chunks import Chunk
from headrace.media.forms import Problem
from headrace.records import DataDescription, Form
from headrace.spec.tables import DataSpec

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
    assert fitted.kept.all()
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


CHINESE = "床前明月光，疑是地上霜。"


def _one(data, **form):
    decoded = text.decode_files([data], Form(**form))
    (item,) = decoded.items
    if isinstance(item, Problem):
        return item, decoded.notes
    return bytes(item).rstrip(b"\0").decode(), decoded.notes


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", {}),
        ("utf-8-sig", {}),
        ("utf-16", {"read as UTF-16 LE": 1}),
        ("gb18030", {"read as GB18030": 1}),
        ("gbk", {"read as GB18030": 1}),
    ],
)
@pytest.mark.parametrize("words", [CHINESE, "你好", "价格：£5", "中文 and English"])
def test_encodings_are_found(encoding, note, words):
    if encoding == "gbk":
        words = words.replace("£", "￥")

    assert _one(words.encode(encoding)) == (words, note)


def test_utf_16_of_the_other_order_is_read():
    data = b"\xfe\xff" + CHINESE.encode("utf-16-be")

    assert _one(data) == (CHINESE, {"read as UTF-16 BE": 1})


@pytest.mark.parametrize(
    "words", ["naïve — ‘Größe’", "㐀 and é", "秦川雄帝宅，函谷壯皇居。"]
)
def test_gb18030_is_read_whatever_it_holds(words):
    assert _one(words.encode("gb18030"))[0] == words


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a\0b", "a NUL character at 1: no text"),
        (CHINESE.encode("utf-16-le"), "no text: NUL at byte|damaged|neither"),
        (b"\xff\xfea", r"UTF-16 LE by its first bytes, but damaged at byte 2"),
        (CHINESE.encode()[:-1], r"damaged UTF-8 at byte 33 \(0xe3\)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "no text: NUL at byte 8"),
        ("Der Bär möchte Öl".encode("latin-1"), r"neither UTF-8 \(see byte 5 \(0xe4\)"),
        ("señor años también".encode("latin-1"), "neither UTF-8"),
        (b"abc \xff\xff\xff", "neither UTF-8"),
        ("床前明月光".encode("big5"), "neither UTF-8"),
    ],
)
def test_what_is_no_text_has_a_problem(data, reason):
    problem, notes = _one(data)

    assert problem.check == "encoding"
    assert not notes
    assert re.search(reason, problem.reason)


@pytest.mark.parametrize("data", [b"", b" \r\n\t", "\u3000\ufeff\u200b".encode()])
def test_an_empty_text_has_a_problem(data):
    assert _one(data)[0].check == "empty"


def test_line_ends_and_outer_space_are_brought_to_one_form():
    assert _one(b"\xef\xbb\xbf  a\r\nb\rc\n\n d \r\n")[0] == "a\nb\nc\n\n d"
    assert _one("\u3000开始".encode())[0] == "开始"


def test_characters_are_left_as_they_are():
    words = "ﬁ ① e\u0301 é Ａ"

    assert _one(words.encode())[0] == words


def test_equal_texts_have_equal_bytes_whatever_their_source():
    files = [CHINESE.encode(c) for c in ("utf-8", "utf-8-sig", "utf-16", "gb18030")]

    items = text.decode_files(files, Form()).items

    assert len({bytes(item) for item in items}) == 1


@pytest.mark.parametrize(
    ("length", "size"), [(1, 64), (64, 64), (65, 128), (4097, 8192), (8192, 8192)]
)
def test_few_sizes_take_all_texts(length, size):
    (item,) = text.decode_files([b"a" * length], Form()).items

    assert item.shape == (size,)
    assert item.dtype == np.uint8


def test_long_texts_are_cut_between_characters():
    words, notes = _one(("时" * 3000).encode())

    assert words == "时" * 2730
    assert notes == {"cut to 8,192 bytes": 1}


def test_a_declared_length_is_kept():
    decoded = text.decode_files([b"abcdef", "a时".encode()], Form(shape=(3,)))

    assert [bytes(item) for item in decoded.items] == [b"abc", b"a\0\0"]
    assert decoded.notes == {"cut to 3 bytes": 2}


def test_personal_data_is_masked_before_a_text_is_cut():
    form = {"mask": ("email", "phone"), "shape": (16,)}

    words, notes = _one(b"Ask me@long-name.example.org or 13800138000", **form)

    assert words == "Ask <EMAIL> or <"
    assert notes == {"masked email": 1, "masked phone": 1, "cut to 16 bytes": 1}


PIECES = [
    "a",
    " ",
    "\r",
    "\n",
    "\0",
    "\ufeff",
    "é",
    "时",
    "。",
    "🙂",
    "\u3000",
    "\u200b",
]


@pytest.mark.parametrize("form", [{}, {"shape": (8,)}, {"mask": ("email",)}])
def test_a_text_is_decoded_alike_alone_and_among_others(form):
    random = np.random.default_rng(0)
    lengths = random.integers(0, 5, 2000)
    files = ["".join(random.choice(PIECES, n)).encode() for n in lengths]
    files += [b"a" * 9000, b"\xe4", b"\xb8\xad a"]  # together, the last two are valid
    b"".join(files).decode()

    alone = [text.decode_files([data], Form(**form)) for data in files]

    for damaged in ([], [b"\xff"]):  # makes each be looked at on its own
        decoded = text.decode_files([*files, *damaged], Form(**form))
        items = [*map(_comparable, decoded.items)]
        assert items[: len(files)] == [_comparable(one.items[0]) for one in alone]
        assert decoded.notes == sum((one.notes for one in alone), Counter())


def _comparable(item):
    return item if isinstance(item, Problem) else (item.shape, item.tobytes())
