"""Label leaks: texts that name their own class, which a model would learn instead.

A word for the topic is natural (``weather`` in questions about it). A label leaks where
no word would stand (``spam: ...``, ``[spam]``, ``label=spam``), where it begins or
ends most texts of its class, or where it is in nearly all texts of most classes; and if
it is rare in other classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.forms import Counts, Flags

_LEAST = 5
# Shares of a class. In 170 classes of real texts, the label begins or ends at most 60 %
# of a class, and over 10 % of few, where it is as often in the middle; it is in 90 % of
# the texts of 4 % of the classes; and it is never marked.
_MARKED, _END, _SOME_END, _ANYWHERE = 0.05, 0.8, 0.1, 0.9
_END_FOREMOST = 0.8
# A label that is this often in other classes does not leak.
_OTHERS = 0.5
_OTHERS_CHECKED = 2000
_KEY = r"(?:label|class|category|target|topic|intent|tag|标签|类别|分类|类型)"
_HAN = re.compile("[\u3400-\u9fff]")


def label_leaks(column: pa.Array, labels: Sequence[str]) -> Flags:
    """Which texts of a column leak their label, ``(n,)``."""
    leaks = np.zeros(len(column), bool)
    if not len(column):
        return leaks
    text = pc.utf8_lower(column)
    names, codes = np.unique(np.array(labels, str), return_inverse=True)
    ends = np.cumsum(np.bincount(codes))[:-1]
    classes = np.split(np.argsort(codes, kind="stable"), ends)
    pairs = zip(names.tolist(), classes, strict=True)
    candidates = []
    for certain, possible in (_leaks(text, name, rows) for name, rows in pairs):
        leaks[certain] = True
        if len(possible):
            candidates.append(possible)
    majority = len(names) // 2 + 1 if len(names) > 2 else 1
    if len(candidates) >= majority:
        leaks[np.concatenate(candidates)] = True
    return leaks


def _leaks(text: pa.Array, name: str, rows: Counts) -> tuple[Counts, Counts]:
    """Texts of a class that leak its label, and those that do so if most classes do."""
    words = [re.escape(word) for word in re.split(r"[\W_]+", name.lower()) if word]
    label, size, none = r"[\W_]*".join(words), len(rows), rows[:0]
    if not label or size < _LEAST:
        return none, none
    own = text.take(rows)
    marked = rows[_holds(own, _marks(label))]
    if len(marked) < max(_LEAST, _MARKED * size):
        marked = none
    edge = "" if _HAN.search(name) else r"[^\p{L}\p{N}]"
    before, after = (f"(?:^|{edge})", f"(?:{edge}|$)") if edge else ("", "")
    # Numbers and single letters are everywhere.
    is_word = len(name) > 1 and not name.isdecimal()
    everywhere = f"{before}{label}{after}"
    anywhere = rows[_holds(own, everywhere)] if is_word else none
    if len(anywhere) < max(_LEAST, _SOME_END * size):
        anywhere = none
    if (len(anywhere) or len(marked)) and _is_common(text, rows, everywhere):
        return none, none
    at_end = rf"^\W*{label}{after}|{before}{label}\W*$"
    end = rows[_holds(own, at_end)] if len(anywhere) else none
    certain = np.union1d(marked, end if len(end) >= _END * size else none)
    if len(anywhere) >= _ANYWHERE * size:
        return certain, anywhere
    is_foremost = len(end) >= max(_SOME_END * size, _END_FOREMOST * len(anywhere))
    return certain, end if is_foremost else none


def _is_common(text: pa.Array, rows: Counts, pattern: str) -> bool:
    """Whether the label is about as often in other classes."""
    others = np.ones(len(text), bool)
    others[rows] = False
    checked = np.flatnonzero(others)
    checked = checked[:: -(-len(checked) // _OTHERS_CHECKED) or 1]
    if not len(checked):
        return False
    own_share = _holds(text.take(rows), pattern).mean()
    return bool(_holds(text.take(checked), pattern).mean() > _OTHERS * own_share)


def _holds(texts: pa.Array, pattern: str) -> Flags:
    return np.asarray(pc.match_substring_regex(texts, pattern))


def _marks(label: str) -> str:
    marks = (
        rf"^\W*{label}[\])}}>】》\"']*\s*(?:[:：|=>\t]|-+ )",
        rf"[\[<({{【《]\s*{label}\s*[\]>)}}】》]",
        rf"(?:__label__|#|{_KEY}\s*[:：=]\s*[\"']?){label}(?:\W|$)",
        rf"[|\t=]\s*{label}\W*$",
    )
    return "|".join(f"(?:{mark})" for mark in marks)
