"""Which language a text is in: by its script, and by small words where that is Latin.

Meant to find a text that is unlike the rest, not to tell close languages apart.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.text.characters import SCRIPTS, Characters

_SMALL_WORDS = {
    "en": "the and of to is that you for it with have this are not but what be my "
    "your was they from can we will his he she would there their which been has how "
    "who when were had do if them than does did could should our i'm don't it's a i "
    "in on at me so no as by or an u ur thou thy thee hath",
    "fr": "le la les des et est que une pas pour qui dans vous je ne sur ce il nous "
    "avec au mais du elle cette ont être par c'est aux était leur ces tout "
    "suis votre mon j'ai deux été sans ou où sa ses lui",
    "de": "der das und ist nicht ich sie ein eine zu mit den es auf für sich dem "
    "von wie auch wir bei haben hat oder aber einen einem einer wird sind im vom zum "
    "zur nach wenn noch über kann ihr mich mein",
    "es": "el la los las de que y en un una es por con para se lo del al como más "
    "pero sus está muy mi ha este fue también hay sin esta todo yo qué ser "
    "cuando donde sobre",
    "it": "il la di che e un una per non è con del della sono le gli si da ho ma "
    "mi anche nel alla questo ha più lo dei delle al mio perché se molto essere "
    "stato dal sulla",
    "pt": "o os de que e um uma é para com não se em da na por mais eu "
    "você ele ela está seu sua dos das foi ao são muito isso meu também tem "
    "pelo pela quando",
    "nl": "het een van ik dat niet je op te zijn met voor er maar aan "
    "wat heb ook naar mijn wordt deze door heeft bij om nog als dan dit hij ze wij "
    "geen kan worden",
}
_LANGUAGES = tuple(_SMALL_WORDS)
_NAMES = {"han": "zh", "kana": "ja", "hangul": "ko"}
_LATIN, _HAN, _KANA = (SCRIPTS.index(s) for s in ("latin", "han", "kana"))
# So much of Japanese is in kana, at the least; Chinese has hardly any.
_JAPANESE = 0.1
# A script that has so much of a text's letters is its own; and a Chinese character
# says about as much as three letters.
_OWN = 0.6
_HAN_LETTERS = 3
# Different small words that tell a language, and how much of a text they are.
_WORDS = 3
_SHARE = 0.2
# No text of so many words has no small word, in a language that is known here.
_LONG = 12
_READ = 1000  # characters; the rest of a text is in the same language
# What the rest is, if it is one; and what is unlike it: less than a share that a
# second language of the set has. Another script is told beyond doubt.
_MAIN, _FEW, _FEW_FAR = 0.8, 0.1, 0.15
_LETTERS = 5
_BREAKS = r"[^a-zß-öø-ÿœ']+"


def script_counts(characters: Characters) -> npt.NDArray[np.int64]:
    """How many letters of each script each text has, ``(n, scripts)``."""
    rows, scripts = len(characters.bounds) - 1, len(SCRIPTS)
    places = characters.rows * scripts + characters.scripts
    counted = np.bincount(places, minlength=rows * scripts).reshape(rows, scripts)
    counted[:, 0] = 0
    return counted


def languages(column: pa.Array, scripts: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """The language of each text, ``(n,)`` of str.

    ``en``, ``zh`` and so on; the name of a script where that is all that is known;
    ``latin`` where it could be any in Latin letters, ``unknown`` where it is none of
    those known; empty where there are too few letters, or several scripts.

    Args:
        column: of strings.
        scripts: of `script_counts`.
    """
    weights = scripts.copy()
    weights[:, _HAN] *= _HAN_LETTERS
    total, main = weights.sum(axis=1), weights.argmax(axis=1)
    names = np.array([_NAMES.get(script, script) for script in SCRIPTS], object)
    found: npt.NDArray[Any] = names[main]
    found[(total < _LETTERS) | (weights.max(axis=1) < _OWN * total)] = ""
    both = weights[:, _HAN] + weights[:, _KANA]
    japanese = scripts[:, _KANA] >= _JAPANESE * np.maximum(scripts.sum(axis=1), 1)
    found[japanese & (both >= _OWN * total) & (total >= _LETTERS)] = "ja"
    latin = np.flatnonzero(found == "latin")
    if len(latin):
        found[latin] = _by_small_words(column.take(latin))
    return found


def _by_small_words(column: pa.Array) -> npt.NDArray[Any]:
    """The language of texts in Latin letters, as their small words tell it."""
    beginning = pc.utf8_slice_codeunits(column, 0, _READ)
    text = pc.replace_substring(pc.utf8_lower(beginning), "\u2019", "'")
    words = pc.split_pattern_regex(text, _BREAKS)
    rows = np.asarray(pc.list_parent_indices(words))
    known, spoken = _small_words()
    places = np.asarray(pc.fill_null(pc.index_in(words.flatten(), known), len(known)))
    counted = np.bincount(rows, minlength=len(column))
    said = np.bincount(rows[places < len(known)], minlength=len(column))
    # Each word once, whatever a text repeats.
    keys = np.unique(rows * (len(known) + 1) + places)
    rows, places = np.divmod(keys, len(known) + 1)
    hits = np.zeros((len(column), len(_LANGUAGES)), np.int64)
    for place in range(len(_LANGUAGES)):
        chosen = rows[spoken[places, place]]
        hits[:, place] = np.bincount(chosen, minlength=len(column))
    top, second = np.partition(hits, -2, axis=1)[:, [-1, -2]].T
    sure = (top >= _WORDS) & (top >= 2 * second) & (said >= _SHARE * counted)
    found = np.where(sure, np.array(_LANGUAGES, object)[hits.argmax(axis=1)], "latin")
    found[(said == 0) & (counted >= _LONG)] = "unknown"
    return found


@functools.cache
def _small_words() -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """The words, and who uses them, ``(words + 1, languages)``: the last is none."""
    split = {name: words.split() for name, words in _SMALL_WORDS.items()}
    known = sorted({word for words in split.values() for word in words})
    spoken = np.zeros((len(known) + 1, len(split)), bool)
    for place, words in enumerate(split.values()):
        spoken[[known.index(word) for word in words], place] = True
    return pa.array(known), spoken


def unlike_the_rest(found: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How unlike the rest each text's language is, ``(n,)``.

    Where most texts are in one language, those in another that few are in: 2 where
    its script is another than Latin, which passes for everyone's second one, else 1.
    0 for all others.

    Args:
        found: of `languages`.
    """
    known = found[found != ""]
    if not len(known):
        return np.zeros(len(found), np.int64)
    names, counts = np.unique(known.astype(str), return_counts=True)
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    western = {"latin", "unknown", *_LANGUAGES}
    # Texts that could be in any Western language are in the commonest.
    main = max(
        (name for name in sizes if name != "latin"),
        key=sizes.__getitem__,
        default="latin",
    )
    own = {main, "latin"} if main in western else {main}
    if sum(sizes.get(name, 0) for name in own) < _MAIN * len(known):
        return np.zeros(len(found), np.int64)
    limits = {name: _FEW if name in western else _FEW_FAR for name in sizes}
    few = [n for n, c in sizes.items() if n not in own and c < limits[n] * len(known)]
    far = [name for name in few if name not in western]
    unlike: npt.NDArray[np.int64] = np.isin(found, few).astype(np.int64)
    return unlike + np.isin(found, far)
