"""Transcripts from probabilities by step, their probability, and their edits.

A network gives, for each step, the probability of each word or character and, last, of
the blank. A path has one of them at each step; a transcript is a path without repeats
and blanks (A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, Connectionist temporal
classification, ICML 2006). Greedy decoding takes the likeliest path.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.records import DataDescription
from headrace.tasks.forms import Outputs, Targets
from headrace.tasks.transcription.data import PADDING, sequences

Floats = npt.NDArray[np.float64]
_LEAST = 1e-30
_ROWS_AT_ONCE = 1024


def greedy(outputs: Outputs) -> list[list[int]]:
    """The indices of the likeliest path, without repeats and blanks, of each row.

    Args:
        outputs: probabilities ``(n, steps, vocabulary + 1)``, the blank last.
    """
    best, blank = outputs.argmax(axis=2), outputs.shape[2] - 1
    begins = np.ones(best.shape, bool)
    begins[:, 1:] = best[:, 1:] != best[:, :-1]
    begins &= best != blank
    return [row[start].tolist() for row, start in zip(best, begins, strict=True)]


def text_of(indices: Sequence[int], data: DataDescription) -> str:
    """The transcript of indices in the vocabulary; others are shown as U+FFFD."""
    between = " " if data.unit == "words" else ""
    tokens = data.tokens
    spelled = (tokens[i] if 0 <= i < len(tokens) else "\ufffd" for i in indices)
    return " ".join(between.join(spelled).split())


def texts(outputs: Outputs, data: DataDescription) -> list[str]:
    """The transcript of each row, by greedy decoding."""
    return [text_of(row, data) for row in greedy(outputs)]


def references(targets: Targets, data: DataDescription) -> list[str]:
    """The transcript of each row of targets ``(n, longest + 1)``."""
    return [text_of(row, data) for row in sequences(targets)]


def padded(rows: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """Sequences as int64 ``(n, longest)``, padded with -1."""
    result = np.full((len(rows), max(map(len, rows), default=0)), PADDING, np.int64)
    for place, row in enumerate(rows):
        result[place, : len(row)] = row
    return result


def log_likelihood(outputs: Outputs, targets: Targets) -> Floats:
    """The logarithm of the probability of each transcript: the sum over its paths.

    Args:
        outputs: probabilities ``(n, steps, vocabulary + 1)``, the blank last.
        targets: indices ``(n, longest)``, padded with -1; without the last column of
            the task's targets.

    Returns:
        float64 ``(n,)``; -inf where there are too few steps for a transcript.
    """
    parts = [
        _forward(outputs[start:end], targets[start:end])
        for start in range(0, len(outputs), _ROWS_AT_ONCE)
        for end in [start + _ROWS_AT_ONCE]
    ]
    return np.concatenate([np.empty(0), *parts])


def _forward(outputs: Outputs, targets: Targets) -> Floats:
    """The forward algorithm, for all rows at once, with blanks between the targets."""
    rows, steps, width = outputs.shape
    count = (targets != PADDING).sum(axis=1)
    states = np.full((rows, 2 * targets.shape[1] + 1), width - 1)
    states[:, 1::2] = np.where(targets == PADDING, width - 1, targets)
    may_skip = np.zeros(states.shape, bool)
    may_skip[:, 2:] = (states[:, 2:] != width - 1) & (states[:, 2:] != states[:, :-2])
    # A probability is divided by the sum of its step, so that none underflows.
    paths = np.zeros((rows, states.shape[1] + 2))
    paths[:, 2] = 1.0
    logs = np.zeros(rows)
    emitted = np.take_along_axis(outputs, states[:, np.newaxis, :], axis=2)
    emitted = np.maximum(emitted.astype(np.float64), _LEAST)
    # A row has no states after its own last blank: with those of the longest row, its
    # paths would go on there and leave nothing of its own.
    emitted *= np.arange(states.shape[1]) <= 2 * count[:, np.newaxis, np.newaxis]
    for step in range(steps):
        if step:
            skipped = np.where(may_skip, paths[:, :-2], 0.0)
            paths[:, 2:] += paths[:, 1:-1] + skipped
        else:
            paths[:, 3:4] = 1.0
        paths[:, 2:] *= emitted[:, step]
        total = np.maximum(paths.sum(axis=1), np.finfo(np.float64).tiny)
        paths /= total[:, np.newaxis]
        logs += np.log(total)
    each = np.arange(rows)
    ends = paths[each, 2 + 2 * count]
    ends = ends + np.where(count > 0, paths[each, 1 + 2 * count], 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(ends) + logs)


def confidences(outputs: Outputs) -> Floats:
    """The probability of each transcript of `greedy`, float64 ``(n,)``."""
    return np.exp(log_likelihood(outputs, padded(greedy(outputs))))


def edit_counts(
    true: Sequence[Sequence[Any]], answers: Sequence[Sequence[Any]]
) -> npt.NDArray[np.int64]:
    """The least number of edits from each sequence to its answer, int64 ``(n,)``.

    An edit replaces, adds or drops one element (V. I. Levenshtein, Binary codes capable
    of correcting deletions, insertions and reversals, 1966).
    """
    from rapidfuzz.distance import Levenshtein

    pairs = zip(true, answers, strict=True)
    return np.array([Levenshtein.distance(*pair) for pair in pairs], np.int64)


class Edit(NamedTuple):
    """A step of an alignment: equal words, or a replaced, dropped or added one.

    Attributes:
        true: the word that was said; None for an added one.
        answer: the word of the answer; None for one that was left out.
    """

    true: str | None
    answer: str | None


def align(true: Sequence[str], answer: Sequence[str]) -> list[Edit]:
    """An alignment with the least number of edits."""
    from rapidfuzz.distance import Levenshtein

    edits: list[Edit] = []
    for step in Levenshtein.opcodes(true, answer):
        said = true[step.src_start : step.src_end]
        heard = answer[step.dest_start : step.dest_end]
        edits += itertools.starmap(Edit, itertools.zip_longest(said, heard))
    return edits
