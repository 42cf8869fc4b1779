"""Encodings are found, and texts are changed as little as possible."""

import re
from collections import Counter

import numpy as np
import pytest

from headrace.media.forms import Problem
from headrace.media.text import MEDIUM as text
from headrace.records import Form

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
    ],
)
@pytest.mark.parametrize("words", [CHINESE, "你好", "价格：£5", "中文 and English"])
def test_encodings_are_found(encoding, note, words):
    assert _one(words.encode(encoding)) == (words, note)


def test_utf_16_of_the_other_order_is_read():
    data = b"\xfe\xff" + CHINESE.encode("utf-16-be")

    assert _one(data) == (CHINESE, {"read as UTF-16 BE": 1})


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
        (CHINESE.encode("gb18030"), "neither UTF-8"),
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
    files = [CHINESE.encode(c) for c in ("utf-8", "utf-8-sig", "utf-16")]

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
