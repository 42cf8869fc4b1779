"""The columns of texts that the contract checks, and the default contract.

Its bounds are wide: English and Chinese messages, questions, sentences, scenes and
poems give no warning.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.arrow import offsets_of
from headrace.media.forms import Columns, Counts, Expectation, never, within
from headrace.media.text import characters as kind
from headrace.media.text.characters import (
    SCRIPTS,
    Characters,
    characters_of,
    foreign,
    main_scripts,
    script_counts,
)
from headrace.media.text.damage import damage
from headrace.media.text.labels import label_leaks
from headrace.media.text.near import fingerprints_of
from headrace.media.text.personal import counts
from headrace.media.text.texts import Texts, as_column, lengths_of
from headrace.records import DataDescription

# Keeps the arrays over characters small.
_BLOCK_BYTES = 2**17
_LEAST_SPREAD = float(np.log(1.5))
_HAN = SCRIPTS.index("han")
_SHARES = [SCRIPTS.index(s) for s in ("han", "latin", "cyrillic", "arabic")]
# Natural shares of texts: 0.6 % have a Latin-1 control that was a quotation mark, and
# 0.1 % hidden characters.
_FEW_C1, _FEW_HIDDEN = 0.98, 0.995
_DAMAGED = 0.2
_LONG = 3.0  # the longest natural one: 2.5
_LETTERS = 0.3  # the least natural mean: 0.75


def columns(payload: Texts, labels: Sequence[str], data: DataDescription) -> Columns:
    """The columns of texts uint8 ``(n, bytes)``.

    Returns:
        arrays ``(n,)``: ``characters``, ``bytes``, ``words`` (int64; a Chinese
        character is one), ``length_excess`` (see below), ``blank`` (bool: nothing
        visible, or one character repeated), ``letters``, ``digits`` (shares of the
        characters), ``han``, ``latin``, ``cyrillic``, ``arabic`` (shares of the
        letters), ``script`` (str), ``foreign`` (bool, see `characters.foreign`),
        ``repeated`` (the longest run of one character), ``damage`` (characters that a
        wrong encoding left), ``controls`` (control characters, and those that
        reverse the order), ``c1`` (control characters of Latin-1), ``hidden`` (of no
        width), ``damage_share`` (of damage, controls and c1), ``emails``, ``phones``,
        ``id_numbers``, ``card_numbers`` and ``label_in_text`` (bool).

    ``length_excess`` is how far the logarithm of a text's length lies above the third
    quartile, in interquartile ranges.
    """
    column = as_column(payload)
    blocks = [_block(part) for part in _parts(column)]
    columns = {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}
    columns["bytes"] = lengths_of(payload)
    columns["length_excess"] = _excess(columns["characters"])
    columns["foreign"] = foreign(columns["script"])
    columns["label_in_text"] = label_leaks(column, labels)
    return columns


def fingerprints(payload: Texts, data: DataDescription) -> npt.NDArray[np.uint64]:
    """Those of texts uint8 ``(n, bytes)``, ``(n,)``; 0 for texts that are too short."""
    column = as_column(payload)
    return np.concatenate([fingerprints_of(part) for part in _parts(column)])


def slice_columns(payload: Texts) -> Columns:
    """Further columns by which slices are made: the first and the last word.

    Words stand between blanks, in lower case; arrays of str ``(n,)``.
    """
    column = pc.utf8_lower(pc.utf8_trim_whitespace(as_column(payload)))
    split = partial(pc.utf8_split_whitespace, column, max_splits=1)
    first, last = split(), split(reverse=True)
    return {
        "first_word": np.array(pc.list_element(first, 0).to_pylist(), object),
        "last_word": np.array([words[-1] for words in last.to_pylist()], object),
    }


def _parts(column: pa.Array) -> Iterator[pa.Array]:
    """Parts of a column of about ``_BLOCK_BYTES`` each."""
    ends, _ = offsets_of(column)
    steps = np.arange(_BLOCK_BYTES, int(ends[len(column)]), _BLOCK_BYTES)
    stops = np.searchsorted(ends[: len(column)], steps).tolist()
    for start, stop in itertools.pairwise([0, *stops, len(column)]):
        if stop > start or not len(column):
            yield column.slice(start, stop - start)


def _block(column: pa.Array) -> Columns:
    characters = characters_of(column)
    count, sizes = characters.count_kinds, np.diff(characters.bounds)
    scripts = script_counts(characters)
    letters, some = scripts.sum(axis=1), np.maximum(sizes, 1)
    damaged = damage(column, characters)
    controls, c1 = count(kind.CONTROL), count(kind.C1)
    repeated = _longest_runs(characters)
    unseen = count(kind.SPACE | kind.CONTROL | kind.HIDDEN)
    han = characters.scripts == _HAN
    other = characters.having(kind.LETTER | kind.DIGIT) & ~han
    shares = (scripts[:, _SHARES] / np.maximum(letters, 1)[:, np.newaxis]).T
    return {
        "characters": sizes,
        "words": characters.count(characters.begins(other)) + characters.count(han),
        "blank": (sizes == unseen) | ((repeated == sizes) & (sizes >= 10)),
        "letters": letters / some,
        "digits": count(kind.DIGIT) / some,
        **{SCRIPTS[i]: share for i, share in zip(_SHARES, shares, strict=True)},
        "script": main_scripts(scripts),
        "repeated": repeated,
        "damage": damaged,
        "controls": controls,
        "c1": c1,
        "hidden": count(kind.HIDDEN),
        "damage_share": np.minimum(damaged + controls + c1, sizes) / some,
        **counts(column),
    }


def _excess(lengths: Counts) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = np.log(np.maximum(lengths, 1))
    if not len(logs):
        return logs
    low, high = np.quantile(logs, [0.25, 0.75])
    # Where half of the texts have one length, the range would be 0.
    logs -= high
    logs /= max(high - low, _LEAST_SPREAD)
    return np.clip(logs, 0, None)


def _longest_runs(characters: Characters) -> Counts:
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


def expectations(data: DataDescription) -> list[Expectation]:
    """The default contract; only unreadable rows are quarantined, the rest warns."""
    damaged = "its characters are damaged: it was read in a wrong encoding"
    few = "few of the characters are letters"
    return [
        within("length", "bytes", min_value=1, max_value=data.shape[0]),
        within("encoding", "damage_share", damaged, max_value=_DAMAGED),
        _at_most(0, "encoding", "damage", "characters that a wrong encoding left"),
        _at_most(0, "encoding", "c1", "control characters of Latin-1", _FEW_C1),
        _at_most(0, "control_characters", "controls", "characters that nobody sees"),
        _at_most(0, "control_characters", "hidden", "hidden characters", _FEW_HIDDEN),
        never("foreign", "its script is unlike the rest"),
        _at_most(_LONG, "length", "length_excess", "it is far longer than the rest"),
        never("label_in_text", "the text names its own class"),
        _at_most(0, "personal_data", "id_numbers", "Chinese ID numbers"),
        _at_most(0, "personal_data", "card_numbers", "payment card numbers"),
        _at_least(_LETTERS, "letters", "mean", "letters", few),
        # These always hold; the pages show the numbers.
        _at_least(0, "personal_data", "sum", "emails"),
        _at_least(0, "personal_data", "sum", "phones"),
        _at_least(0, "length", "median", "characters"),
        _at_least(0, "length", "median", "words"),
    ]


def _at_most(
    high: float, check: str, column: str, reason: str, mostly: float = 0
) -> Expectation:
    share = {"mostly": mostly} if mostly else {}
    return within(check, column, reason, warns=True, max_value=high, **share)


def _at_least(
    low: float, check: str, statistic: str, column: str, reason: str = ""
) -> Expectation:
    name, bounds = f"expect_column_{statistic}_to_be_between", {"min_value": low}
    return Expectation(check, name, {"column": column, **bounds}, reason, warns=True)
