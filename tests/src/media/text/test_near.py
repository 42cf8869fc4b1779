"""Texts that are nearly the same."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.media.text import MEDIUM as text
from headrace.records import DataDescription

DATA = DataDescription(medium="text", shape=(64,), classes=("a", "b"))

FIRST = "Free entry in a weekly competition to win final tickets, text now to claim"
SECOND = "I will be home a little later than usual tonight, do not wait for dinner"
POEM = "秦川雄帝宅，函谷壮皇居。绮殿千寻起，离宫百雉余。"


def _payload(*texts):
    return text.from_column(pa.array(texts, pa.string()), (256,))


def _alike(first, second):
    (found,) = text.alike(_payload(first), _payload(second), DATA)
    return bool(found)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST, FIRST.upper()),
        (FIRST, f"  {FIRST.replace(',', '!!')} :-)"),
        (FIRST, FIRST.replace("weekly", "weakly")),
        (FIRST, f"{FIRST} today"),
        (POEM, POEM.replace("，", " ").replace("。", "")),
        (POEM, POEM.replace("绮", "奇")),
        ("ＡＢＣ full width letters here", "ABC full width letters here"),
        ("Ok", "Ok"),
    ],
)
def test_texts_with_a_small_change_are_alike(printed, first, second):
    assert _alike(first, second)
    one, other = printed([first, second])
    assert np.bitwise_count(one ^ other) <= 10


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST, SECOND),
        (FIRST, FIRST[:40]),
        (POEM, "国破山河在，城春草木深。感时花溅泪，恨别鸟惊心。"),
        ("Ok", "ok!"),
        ("...", ":-)"),
    ],
)
def test_other_texts_are_not(first, second):
    assert not _alike(first, second)


def test_fingerprints_of_other_texts_are_far(printed):
    rng = np.random.default_rng(6)
    words = np.array([FIRST, SECOND, POEM, *rng.permutation(list(FIRST + SECOND))])
    texts = [FIRST, SECOND, POEM, "".join(words[3:100]), "".join(words[3:60][::-1])]

    prints = printed(texts)

    differing = np.bitwise_count(prints[:, None] ^ prints)
    assert differing[~np.eye(len(texts), dtype=bool)].min() > 12


def test_a_fingerprint_does_not_depend_on_other_texts(printed):
    alone = [printed([words])[0] for words in (FIRST, "", POEM)]

    assert printed([FIRST, "", POEM]).tolist() == alone


def test_texts_too_short_to_tell_by_have_no_fingerprint(printed):
    prints = printed(["Ok", "", ":-) !!!!!!!!!!!!!!", "abcdefghijk", "abcdefghijkl"])

    assert (prints == 0).tolist() == [True, True, True, True, False]


def test_no_pairs_are_no_answer():
    assert text.alike(_payload()[:0], _payload()[:0], DATA).shape == (0,)
