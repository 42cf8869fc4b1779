"""Cuts long recordings at quiet places."""

from __future__ import annotations

import numpy as np

from headrace.media.audio.samples import Samples
from headrace.media.forms import Flags, Problem
from headrace.records import DataDescription, Form

MOST_SECONDS = 60
# A cut lies in the last part of what fits, at the quietest stretch of this length.
_SOONEST = 0.4
_QUIET_SECONDS = 0.08


def cut(sound: Samples, most: int, rate: int) -> list[Samples]:
    """Parts of a sound of at most ``most`` samples each; joined, they are the sound.

    Each cut is in the middle of the quietest 80 ms of the last three fifths that fit.

    Args:
        sound: int16 ``(samples,)``.
        most: the length of a part.
        rate: the sample rate in Hz.
    """
    pieces = []
    width = max(1, min(round(_QUIET_SECONDS * rate), most // 4))
    while len(sound) > most:
        first = int(_SOONEST * most)
        energy = np.square(sound[first:most].astype(np.float64))
        sums = np.concatenate([[0.0], np.cumsum(energy)])
        level = sums[width:] - sums[:-width]
        place = first + _last_run(level <= level.min() * 1.0001 + 1) + width // 2
        pieces.append(sound[:place])
        sound = sound[place:]
    return [*pieces, sound]


def _last_run(chosen: Flags) -> int:
    """The middle of the last run of chosen places, of which there is one at least."""
    places = np.flatnonzero(chosen)
    gaps = np.flatnonzero(np.diff(places) > 1)
    first = int(gaps[-1]) + 1 if len(gaps) else 0
    return int(places[(first + len(places) - 1) // 2])


def long_form(data: DataDescription) -> Form:
    """The form of recordings that `parts` takes: a sample longer than a minute."""
    rate = data.sample_rate_hz
    longest = max(data.shape[0], MOST_SECONDS * rate)
    return Form(shape=(longest + 1,), sample_rate_hz=rate)


def parts(item: Samples, data: DataDescription) -> Samples | Problem:
    """A recording of up to a minute in parts of the model's length.

    Args:
        item: int16 ``(samples,)``; zeros at its end are left out.
        data: of the model.

    Returns:
        int16 ``(parts, *shape)``, each part padded with zeros; or why the recording is
        not taken.
    """
    rate, size = data.sample_rate_hz, data.shape[0]
    longest = max(size, MOST_SECONDS * rate)
    item = np.trim_zeros(item, "b")
    if len(item) > longest:
        reason = f"it is longer than {longest / rate:g} s, the most that is taken"
        return Problem("too_long", reason)
    pieces = cut(item, size, rate)
    rows = np.zeros((len(pieces), size), np.int16)
    for row, piece in zip(rows, pieces, strict=True):
        row[: len(piece)] = piece
    return rows
