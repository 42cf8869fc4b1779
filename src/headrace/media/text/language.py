"""The language of texts: by script, and by stop words where the script is Latin.

It serves to find texts unlike the rest, not to separate close languages.
"""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.forms import Counts, Flags, Payload
from headrace.media.text.characters import SCRIPTS, Characters

_STOP_WORDS = {
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
_LANGUAGES = tuple(_STOP_WORDS)
_NAMES = {"han": "zh", "kana": "ja", "hangul": "ko"}
_LATIN, _HAN, _KANA = (SCRIPTS.index(s) for s in ("latin", "han", "kana"))
# The least share of kana in Japanese; Chinese has hardly any.
_JAPANESE = 0.1
# The share of a text's letters that its script must have. A Chinese character counts as
# three letters.
_DOMINANT = 0.6
_HAN_LETTERS = 3
# How many different stop words prove a language, and their share of the words.
_WORDS = 3
_SHARE = 0.2
# A text of so many words without a stop word is in an unknown language.
_LONG = 12
_READ = 1000  # characters
# The share of the main language; and the share below which another language is foreign,
# which is larger for another script, since that is certain.
_MAIN, _FEW, _FEW_FAR = 0.8, 0.1, 0.15
_LETTERS = 5
_BREAKS = r"[^a-zß-öø-ÿœ']+"


def script_counts(characters: Characters) -> Counts:
    """The letters of each script in each text, ``(n, scripts)``."""
    rows, scripts = len(characters.bounds) - 1, len(SCRIPTS)
    places = characters.rows * scripts + characters.scripts
    counted = np.bincount(places, minlength=rows * scripts).reshape(rows, scripts)
    counted[:, 0] = 0
    return counted


def languages(column: pa.Array, scripts: Counts) -> Payload:
    """The language of each text, ``(n,)`` of str.

    It is ``en``, ``zh`` and so on; the name of a script where only that is certain;
    ``latin`` for an uncertain language in Latin letters, and ``unknown`` for one
    without known stop words; empty where there are few letters, or several scripts.

    Args:
        scripts: the counts of `script_counts`.
    """
    weights = scripts.copy()
    weights[:, _HAN] *= _HAN_LETTERS
    total, main = weights.sum(axis=1), weights.argmax(axis=1)
    names = np.array([_NAMES.get(script, script) for script in SCRIPTS], object)
    language: Payload = names[main]
    language[(total < _LETTERS) | (weights.max(axis=1) < _DOMINANT * total)] = ""
    both = weights[:, _HAN] + weights[:, _KANA]
    japanese = scripts[:, _KANA] >= _JAPANESE * np.maximum(scripts.sum(axis=1), 1)
    language[japanese & (both >= _DOMINANT * total) & (total >= _LETTERS)] = "ja"
    latin = np.flatnonzero(language == "latin")
    if len(latin):
        language[latin] = _by_stop_words(column.take(latin))
    return language


def _by_stop_words(column: pa.Array) -> Payload:
    """The language of texts in Latin letters, by their stop words."""
    beginning = pc.utf8_slice_codeunits(column, 0, _READ)
    text = pc.replace_substring(pc.utf8_lower(beginning), "\u2019", "'")
    words = pc.split_pattern_regex(text, _BREAKS)
    rows = np.asarray(pc.list_parent_indices(words))
    vocab, uses = _stop_words()
    places = np.asarray(pc.fill_null(pc.index_in(words.flatten(), vocab), len(vocab)))
    counted = np.bincount(rows, minlength=len(column))
    stop_words = np.bincount(rows[places < len(vocab)], minlength=len(column))
    # Each word counts once in a text.
    keys = np.unique(rows * (len(vocab) + 1) + places)
    rows, places = np.divmod(keys, len(vocab) + 1)
    chosen = (rows[used] for used in uses[places].T)
    hits = np.stack([np.bincount(some, minlength=len(column)) for some in chosen], 1)
    top, second = np.partition(hits, -2, axis=1)[:, [-1, -2]].T
    sure = (top >= _WORDS) & (top >= 2 * second) & (stop_words >= _SHARE * counted)
    likely = np.array(_LANGUAGES, object)[hits.argmax(axis=1)]
    language = np.where(sure, likely, "latin")
    language[(stop_words == 0) & (counted >= _LONG)] = "unknown"
    return language


@functools.cache
def _stop_words() -> tuple[pa.Array, Flags]:
    """The words, and which languages use them, ``(words + 1, languages)``."""
    split = {name: words.split() for name, words in _STOP_WORDS.items()}
    vocab = sorted({word for words in split.values() for word in words})
    uses = np.zeros((len(vocab) + 1, len(split)), bool)
    for place, words in enumerate(split.values()):
        uses[[vocab.index(word) for word in words], place] = True
    return pa.array(vocab), uses


def foreign(languages: Payload) -> Counts:
    """Which texts are in a rare language, where most are in another, ``(n,)``.

    2 for a rare language in a script that is not Latin; 1 for a rare language in Latin
    letters, which are a second script everywhere; 0 for all other texts.
    """
    none = np.zeros(len(languages), np.int64)
    sizes = Counter(sorted(languages[languages != ""].astype(str).tolist()))
    total = sizes.total()
    if not total:
        return none
    western = {"latin", "unknown", *_LANGUAGES}
    # Texts in an uncertain Western language count as the commonest.
    certain = [name for name in sizes if name != "latin"]
    main = max(certain, key=sizes.__getitem__, default="latin")
    main_names = {main, "latin"} if main in western else {main}
    if sum(sizes[name] for name in main_names) < _MAIN * total:
        return none
    limits = {name: _FEW if name in western else _FEW_FAR for name in sizes}
    rare = [
        name for name in sizes.keys() - main_names if sizes[name] < limits[name] * total
    ]
    in_other_script = [name for name in rare if name not in western]
    is_rare = np.isin(languages, rare).astype(np.int64)
    return np.asarray(is_rare + np.isin(languages, in_other_script))
