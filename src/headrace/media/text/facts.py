"""The columns of texts that the contract checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.media.arrow import offsets_of
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

# Keeps the arrays over characters small.
_BLOCK_BYTES = 2**17
_LEAST_SPREAD = float(np.log(1.5))
_HAN = SCRIPTS.index("han")
_SHARES = ("han", "latin", "cyrillic", "arabic")

_Columns = dict[str, npt.NDArray[Any]]


def columns(
    payload: Texts, labels: Sequence[str], data: DataDescription
) -> dict[str, npt.NDArray[Any]]:
    """The columns of texts uint8 ``(n, bytes)``.

    Returns:
        arrays ``(n,)``: ``characters``, ``bytes``, ``words`` (int64; a Chinese
        character is one), ``length_excess`` (see below), ``blank`` (bool: nothing
        visible, or one character repeated), ``letters``, ``digits`` (shares of the
        characters), ``han``, ``latin``, ``cyrillic``, ``arabic`` (shares of the
        letters), ``language`` (str), ``foreign`` (see `language.foreign`),
        ``repeated`` (the longest run of one character), ``damage`` (characters that a
        wrong encoding left), ``controls`` (control characters, and those that
        reverse the order), ``c1`` (control characters of Latin-1), ``hidden`` (of no
        width), ``damage_share`` (of damage, controls and c1), ``emails``, ``phones``,
        ``id_numbers``, ``card_numbers``, ``label_in_text`` (bool) and ``fingerprint``
        (uint64).

    ``length_excess`` is how far the logarithm of a text's length lies above the third
    quartile, in interquartile ranges.
    """
    column = as_column(payload)
    blocks = [_block(part) for part in _parts(column)]
    columns = {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}
    columns["bytes"] = lengths_of(payload)
    columns["length_excess"] = _excess(columns["characters"])
    columns["foreign"] = language.foreign(columns["language"])
    columns["label_in_text"] = label_leaks(column, labels)
    return columns


def _parts(column: pa.Array) -> Iterator[pa.Array]:
    """Parts of a column of about ``_BLOCK_BYTES`` each."""
    ends, _ = offsets_of(column)
    steps = np.arange(_BLOCK_BYTES, int(ends[len(column)]), _BLOCK_BYTES)
    stops = [*np.searchsorted(ends[: len(column)], steps).tolist(), len(column)]
    start = 0
    for stop in stops:
        if stop > start or not len(column):
            yield column.slice(start, stop - start)
            start = stop


def _block(column: pa.Array) -> _Columns:
    characters = characters_of(column)
    count, sizes = characters.count, np.diff(characters.bounds)
    kinds = characters.kinds
    scripts = language.script_counts(characters)
    letters = scripts.sum(axis=1)
    controls = count((kinds & CONTROL) > 0)
    c1 = count((kinds & C1) > 0)
    damaged = damage(column, characters)
    repeated = _longest_runs(characters)
    visible = sizes - count((kinds & (SPACE | CONTROL | HIDDEN)) > 0)
    shares = {
        name: scripts[:, SCRIPTS.index(name)] / np.maximum(letters, 1)
        for name in _SHARES
    }
    return {
        "characters": sizes,
        "words": _words(characters),
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
    # Where half of the texts have one length, the range would be 0.
    logs -= high
    logs /= max(high - low, _LEAST_SPREAD)
    return np.clip(logs, 0, None)


def _words(characters: Characters) -> npt.NDArray[np.int64]:
    han = characters.scripts == _HAN
    other = ((characters.kinds & (LETTER | DIGIT)) > 0) & ~han
    return characters.count(characters.begins(other)) + characters.count(han)


def _longest_runs(characters: Characters) -> npt.NDArray[np.int64]:
    """The longest run of one character in each text, ``(n,)``."""
    begins_run = np.ones(len(characters.codes), bool)
    begins_run[1:] = characters.codes[1:] != characters.codes[:-1]
    firsts = characters.bounds[:-1]
    begins_run[firsts[firsts < len(begins_run)]] = True
    starts = np.flatnonzero(begins_run)
    runs = np.diff(np.append(starts, len(begins_run)))
    longest = np.zeros(len(firsts), np.int64)
    np.maximum.at(longest, characters.rows[starts], runs)
    return longest
