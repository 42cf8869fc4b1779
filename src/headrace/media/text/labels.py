"""Whether texts name their own class: what a model would learn in place of the text.

A word for the topic is natural (``weather`` in questions about it), and so it is no
sign by itself. A sign is a label that stands where a word does not (``spam: ...``,
``[spam]``, ``label=spam``), one that begins or ends most texts of its class, or one
that is in nearly all texts of most classes; and seldom in those of other classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_LEAST = 5
# Shares of a class. Of 170 classes of real texts, the label begins or ends at most
# 60 % of the texts of one and over 10 % of those of few, and there it is as often in
# the middle; it is in 90 % of the texts of 4 % of them; and none is marked.
_MARKED, _END, _SOME_END, _ANYWHERE = 0.05, 0.8, 0.1, 0.9
_END_FOREMOST = 0.8
# A label that is this often in the texts of others says nothing.
_OTHERS = 0.5
_OTHERS_ASKED = 2000
_KEY = r"(?:label|class|category|target|topic|intent|tag|标签|类别|分类|类型)"
_HAN = re.compile("[\u3400-\u9fff]")

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Named:
    """Texts of one class that name it: marked, at an end, and anywhere.

    Attributes:
        size: of the class.
    """

    size: int
    marked: _Rows
    end: _Rows
    anywhere: _Rows

    @property
    def leaks(self) -> _Rows:
        """Those that give the class away whatever the other classes do."""
        end = self.end if len(self.end) >= _END * self.size else self.end[:0]
        return np.union1d(self.marked, end)

    @property
    def may_leak(self) -> _Rows:
        """Those that do if most other classes do the same."""
        at_end, anywhere = len(self.end), len(self.anywhere)
        if anywhere >= _ANYWHERE * self.size:
            return self.anywhere
        foremost = at_end >= max(_SOME_END * self.size, _END_FOREMOST * anywhere)
        return self.end if foremost else self.end[:0]


def label_leaks(column: pa.Array, labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which texts name their class in a way that gives it away, ``(n,)``.

    Args:
        column: of strings.
        labels: of each.
    """
    leaks = np.zeros(len(column), bool)
    if not len(column):
        return leaks
    text = pc.utf8_lower(column)
    names, codes = np.unique(np.array(labels, str), return_inverse=True)
    ends = np.cumsum(np.bincount(codes))[:-1]
    classes = np.split(np.argsort(codes, kind="stable"), ends)
    found = [
        _named(text, name, rows)
        for name, rows in zip(names.tolist(), classes, strict=True)
    ]
    for named in found:
        leaks[named.leaks] = True
    together = [named.may_leak for named in found if len(named.may_leak)]
    most = len(names) // 2 + 1 if len(names) > 2 else 1
    if len(together) >= most:
        leaks[np.concatenate(together)] = True
    return leaks


def _named(text: pa.Array, name: str, rows: _Rows) -> _Named:
    label = _pattern(name)
    none = rows[:0]
    if not label or len(rows) < _LEAST:
        return _Named(len(rows), none, none, none)
    own = text.take(rows)
    marked = rows[_holds(own, _marks(label))]
    if len(marked) < max(_LEAST, _MARKED * len(rows)):
        marked = none
    edge = "" if _HAN.search(name) else r"[^\p{L}\p{N}]"
    before, after = (f"(?:^|{edge})", f"(?:{edge}|$)") if edge else ("", "")
    # Numbers and single letters are everywhere, for reasons of their own.
    telling = len(name) > 1 and not name.isdecimal()
    everywhere = f"{before}{label}{after}"
    anywhere = rows[_holds(own, everywhere)] if telling else none
    if len(anywhere) < max(_LEAST, _SOME_END * len(rows)):
        anywhere = none
    if (len(anywhere) or len(marked)) and _is_common(text, rows, everywhere):
        return _Named(len(rows), none, none, none)
    at_end = rf"^\W*{label}{after}|{before}{label}\W*$"
    end = rows[_holds(own, at_end)] if len(anywhere) else none
    return _Named(len(rows), marked, end, anywhere)


def _is_common(text: pa.Array, rows: _Rows, pattern: str) -> bool:
    """Whether the texts of other classes hold a label about as often."""
    others = np.ones(len(text), bool)
    others[rows] = False
    asked = np.flatnonzero(others)
    asked = asked[:: -(-len(asked) // _OTHERS_ASKED) or 1]
    if not len(asked):
        return False
    own = _holds(text.take(rows), pattern).mean()
    return bool(_holds(text.take(asked), pattern).mean() > _OTHERS * own)


def _holds(texts: pa.Array, pattern: str) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.match_substring_regex(texts, pattern))


def _pattern(name: str) -> str:
    words = [re.escape(word) for word in re.split(r"[\W_]+", name.lower()) if word]
    return r"[\W_]*".join(words)


def _marks(label: str) -> str:
    marks = (
        rf"^\W*{label}[\])}}>】》\"']*\s*(?:[:：|=>\t]|-+ )",
        rf"[\[<({{【《]\s*{label}\s*[\]>)}}】》]",
        rf"(?:__label__|#|{_KEY}\s*[:：=]\s*[\"']?){label}(?:\W|$)",
        rf"[|\t=]\s*{label}\W*$",
    )
    return "|".join(f"(?:{mark})" for mark in marks)
