"""What the contract can say of each text, computed for many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.media.text import language
from headrace.media.text.characters import (
    C1,
    CONTROL,
    DIGIT,
    HIDDEN,
    LETTER,
    SCRIPTS,
    SPACE,
    Characters,
    characters_of,
)
from headrace.media.text.damage import damage
from headrace.media.text.labels import label_leaks
from headrace.media.text.near import fingerprints
from headrace.media.text.personal import counts
from headrace.media.text.texts import Texts, as_column, lengths_of
from headrace.records import DataDescription

# So that what is computed for each character stays small.
_BLOCK_BYTES = 2**17
_LEAST_SPREAD = float(np.log(1.5))
_HAN = SCRIPTS.index("han")
_TOLD = ("han", "latin", "cyrillic", "arabic")

_Columns = dict[str, npt.NDArray[Any]]


def columns(
    payload: Texts, labels: Sequence[str], data: DataDescription
) -> dict[str, npt.NDArray[Any]]:
    """What can be told of each text.

    Args:
        payload: uint8 ``(n, bytes)``.
        labels: ``(n,)``.
        data: of the data set.

    Returns:
        arrays ``(n,)``: ``characters``, ``bytes``, ``words`` (int64; a Chinese
        character is one), ``length_excess`` (see below), ``blank`` (bool: nothing, or
        one character again and again), ``letters``, ``digits`` (shares of the
        characters), ``han``, ``latin``, ``cyrillic``, ``arabic`` (shares of the
        letters), ``language`` (str), ``foreign`` (see `language.unlike_the_rest`),
        ``repeated`` (the longest run of one character), ``damage`` (characters that a
        wrong encoding left), ``controls`` (control characters, and those that turn
        the order around), ``c1`` (control characters of Latin-1), ``hidden`` (of no
        width), ``damage_share`` (of damage, controls and c1), ``emails``, ``phones``,
        ``id_numbers``, ``card_numbers``, ``label_in_text`` (bool) and ``fingerprint``
        (uint64).

    The excess of a text's length is how far the logarithm lies above the third
    quartile's, where 1 is the distance of the quartiles.
    """
    column = as_column(payload)
    blocks = [_block(part) for part in _parts(column)]
    found = {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}
    found["bytes"] = lengths_of(payload)
    found["length_excess"] = _excess(found["characters"])
    found["foreign"] = language.unlike_the_rest(found["language"])
    found["label_in_text"] = label_leaks(column, labels)
    return found


def _parts(column: pa.Array) -> Iterator[pa.Array]:
    """Consecutive texts of about so many bytes."""
    wide = pa.types.is_large_string(column.type)
    ends = np.frombuffer(column.buffers()[1], np.int64 if wide else np.int32)
    steps = np.arange(_BLOCK_BYTES, int(ends[len(column)]), _BLOCK_BYTES)
    stops = [*np.searchsorted(ends[: len(column)], steps).tolist(), len(column)]
    start = 0
    for stop in stops:
        if stop > start or not len(column):
            yield column.slice(start, stop - start)
            start = stop


def _block(column: pa.Array) -> _Columns:
    found = characters_of(column)
    count, sizes = found.count, np.diff(found.bounds)
    kinds = found.kinds
    scripts = language.script_counts(found)
    letters = scripts.sum(axis=1)
    controls = count((kinds & CONTROL) > 0)
    c1 = count((kinds & C1) > 0)
    damaged = damage(column, found)
    repeated = _longest_runs(found)
    visible = sizes - count((kinds & (SPACE | CONTROL | HIDDEN)) > 0)
    shares = {
        name: scripts[:, SCRIPTS.index(name)] / np.maximum(letters, 1) for name in _TOLD
    }
    return {
        "characters": sizes,
        "words": _words(found),
        "blank": (visible == 0) | ((repeated == sizes) & (sizes >= 10)),
        "letters": letters / np.maximum(sizes, 1),
        "digits": count((kinds & DIGIT) > 0) / np.maximum(sizes, 1),
        **shares,
        "language": language.languages(column, scripts),
        "repeated": repeated,
        "damage": damaged,
        "controls": controls,
        "c1": c1,
        "hidden": count((kinds & HIDDEN) > 0),
        "damage_share": np.minimum(damaged + controls + c1, sizes)
        / np.maximum(sizes, 1),
        **counts(column),
        "fingerprint": fingerprints(column),
    }


def _excess(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = np.log(np.maximum(lengths, 1))
    if not len(logs):
        return logs
    low, high = np.quantile(logs, [0.25, 0.75])
    # Where half of the texts are of one length, others still differ a little.
    logs -= high
    logs /= max(high - low, _LEAST_SPREAD)
    return np.clip(logs, 0, None)


def _words(found: Characters) -> npt.NDArray[np.int64]:
    han = found.scripts == _HAN
    other = ((found.kinds & (LETTER | DIGIT)) > 0) & ~han
    return found.count(found.begins(other)) + found.count(han)


def _longest_runs(found: Characters) -> npt.NDArray[np.int64]:
    """The longest run of one character in each text, ``(n,)``."""
    begun = np.ones(len(found.codes), bool)
    begun[1:] = found.codes[1:] != found.codes[:-1]
    firsts = found.bounds[:-1]
    begun[firsts[firsts < len(begun)]] = True
    starts = np.flatnonzero(begun)
    runs = np.diff(np.append(starts, len(begun)))
    longest = np.zeros(len(firsts), np.int64)
    np.maximum.at(longest, found.rows[starts], runs)
    return longest
