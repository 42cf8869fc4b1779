"""Word pieces are those of the tokenizer that a model was trained with."""

import random
import unicodedata

import numpy as np
import pytest

from headrace.imports.backend import compiled
from headrace.models.engines.pieces import WordPieces

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##a", "##b", "##ab")
VOCABULARY += ("c", "ss", "ΐ", "東", "京", "!", "-", "가", "ö", "o", "##k", "ab")
CHARACTERS = (
    "aabbcßÖo東京!- \t\n\u00a0\u3000\u200b\u00ad\u0301\ufe0f\uff01ÅİﬁⅧ가가👩🇩k\0"
)


def pieces(**changed):
    arguments = {
        "vocabulary": VOCABULARY,
        "unknown": "[UNK]",
        "suffix": "##",
        "lowercase": True,
        "strip_accents": True,
        "most": 6,
        "before": [2],
        "after": [3],
    }
    return WordPieces(**arguments | changed)


def tokens(text, **changed):
    row = pieces(before=(), after=(), **changed)([text])[0]
    return [VOCABULARY[number] for number in row if number]


def test_a_word_is_its_longest_beginning_and_so_on():
    assert tokens("abab") == ["ab", "##ab"]
    assert tokens("aba ba") == ["ab", "##a", "b", "##a"]
    assert tokens("abc") == ["[UNK]"]
    assert tokens("c" * 101) == ["[UNK]"]


def test_signs_and_ideographs_are_words_and_spaces_and_controls_are_none():
    assert tokens("a-b!") == ["a", "-", "b", "!"]
    assert tokens("a東京b") == ["a", "東", "京", "b"]
    assert tokens(" a\tb\u200bc\n") == ["a", "b", "c"]
    assert tokens("[PAD]") == ["[UNK]"] * 3
    assert tokens("a\0b") == ["a"]


def test_case_and_accents_are_folded_where_the_tokenizer_does():
    assert tokens("ẞ Ö Å") == ["ss", "o", "a"]
    assert tokens("Ö", strip_accents=False) == ["ö"]
    assert tokens("Ö", lowercase=False) == ["[UNK]"]
    assert tokens("\u1100\u1161") == ["가"]


def test_rows_are_cut_marked_and_padded():
    ids = pieces()(["a b c a b c a", "", "b"])
    assert ids.dtype == np.int32
    assert ids.tolist() == [
        [2, 4, 5, 9, 4, 5, 9, 3],
        [2, 3] + [0] * 6,
        [2, 5, 3] + [0] * 5,
    ]
    assert pieces()([]).shape == (0, 1)


@pytest.mark.system
@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False])
def test_any_text_has_the_ids_that_kerashub_gives(lowercase, strip_accents):
    hub = pytest.importorskip("keras_hub", reason="extra pretrained")
    import keras

    options = {"lowercase": lowercase, "strip_accents": strip_accents}
    theirs = hub.tokenizers.WordPieceTokenizer(
        list(VOCABULARY), sequence_length=6, **options
    )
    source = random.Random(5)
    known = [c for c in map(chr, range(1, 0x30000)) if _is_assigned(c)]
    texts = ["".join(source.choices(CHARACTERS, k=n % 12)) for n in range(3000)]
    texts += ["".join(source.choices(known, k=n % 12)) for n in range(3000)]
    ours = pieces(before=(), after=(), **options)(texts)
    text = keras.Input((), dtype="string")
    expected = compiled(keras.Model(text, theirs(text)))(np.array(texts, object))
    np.testing.assert_array_equal(ours, expected)


def _is_assigned(character):
    return unicodedata.category(character) not in ("Cn", "Cs", "Co")
