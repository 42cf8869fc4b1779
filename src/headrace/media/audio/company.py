"""Which sounds are unlike the rest, where the rest is alike.

A set of speech holds no noise, so noise in it is damage; a set of rain and wind holds
noise of all degrees, so it is not. What tells them apart is the gap between the sounds
that stand out and all others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace.media.audio.blocks import Columns

_Flags = npt.NDArray[np.bool_]

# Fewer sounds have no rest that one could be unlike.
_COMPANY = 20
# How many sounds may lie in the gap.
_GAP_SHARE = 0.01
# Half of a class, and it is the nature of the class.
_CLASS_SHARE = 0.5
_FLATNESS, _SPREAD_DB = 0.25, 3.0
_CLIPPED, _SOMEWHAT_CLIPPED, _RUINED = 0.02, 0.002, 0.2
_ODD_SHARE = 0.03
_NARROWER, _WIDER = 0.6, 1.6
_ALIKE = 0.15


def unlike(columns: Columns, labels: Sequence[str]) -> Columns:
    """Which sounds are noise, clipped or of another bandwidth, unlike the rest.

    Args:
        columns: of `headrace.media.audio.signals.measure`.
        labels: ``(n,)``.

    Returns:
        bool ``(n,)``: ``mostly_noise``, ``clipped`` and ``odd_bandwidth``.
    """
    sounding = ~(columns["blank"] | columns["silence"])
    noise = _mostly_noise(columns, sounding, labels)
    clipped = _clipped(columns, sounding)
    # Both widen the spectrum, which is told once.
    odd = _odd_bandwidth(columns, sounding) & ~noise & ~clipped
    return {"mostly_noise": noise, "clipped": clipped, "odd_bandwidth": odd}


def _apart(found: _Flags, between: _Flags, among: _Flags) -> bool:
    """Whether what was found is few, and hardly anything lies in between."""
    count = int(np.count_nonzero(among))
    gap = int(np.count_nonzero(between & among & ~found))
    return (
        count >= _COMPANY and bool(found.any()) and gap <= max(1.0, _GAP_SHARE * count)
    )


def _mostly_noise(columns: Columns, sounding: _Flags, labels: Sequence[str]) -> _Flags:
    noise = columns["noise"] & sounding
    between = columns["flatness"] >= _FLATNESS
    between &= columns["level_spread_db"] <= _SPREAD_DB
    if not _apart(noise, between, sounding):
        return np.zeros(len(noise), bool)
    _, classes = np.unique(np.asarray(labels, object).astype(str), return_inverse=True)
    sizes = np.bincount(classes[sounding], minlength=int(classes.max()) + 1)
    noises = np.bincount(classes[noise], minlength=len(sizes))
    # A sound does not count for its own class: one of one is not its nature.
    others = np.maximum(sizes[classes] - 1, 1)
    natural: _Flags = (noises[classes] - 1) / others >= _CLASS_SHARE
    apart: _Flags = noise & ~natural
    return apart


def _clipped(columns: Columns, sounding: _Flags) -> _Flags:
    share = columns["clipped_share"]
    clipped = (share >= _CLIPPED) & sounding
    if _apart(clipped, share >= _SOMEWHAT_CLIPPED, sounding):
        return clipped
    return sounding & (share >= _RUINED)


def _odd_bandwidth(columns: Columns, sounding: _Flags) -> _Flags:
    """Sounds of another sample rate than the rest: their content ends elsewhere."""
    odd = np.zeros(len(sounding), bool)
    if np.count_nonzero(sounding) < _COMPANY:
        return odd
    width = columns["bandwidth_hz"]
    usual = float(np.median(width[sounding]))
    away = (width < (1 - _ALIKE) * usual) | (width > (1 + _ALIKE) * usual)
    far = (width < _NARROWER * usual) | (width > _WIDER * usual)
    odd = far & columns["cliff"] & sounding
    few = max(1.0, _ODD_SHARE * np.count_nonzero(sounding))
    alike = np.count_nonzero(away & sounding) <= few
    return odd if alike else np.zeros(len(odd), bool)
