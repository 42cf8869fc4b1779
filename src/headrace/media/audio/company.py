"""Outliers: sounds unlike all others of a data set.

Noise is damage in a set of speech, which has no other noise; it is natural in a set of
rain and wind, which has noise of all degrees. So a sound is an outlier only where a gap
separates the few outliers from all other sounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace.media.audio.blocks import Columns

_Flags = npt.NDArray[np.bool_]

# Fewer sounds have no outliers.
_LEAST_SOUNDS = 20
# The share of sounds that may lie in the gap.
_GAP_SHARE = 0.01
# Noise in half of a class is natural for the class.
_CLASS_SHARE = 0.5
_FLATNESS, _SPREAD_DB = 0.25, 3.0
_CLIPPED, _SOMEWHAT_CLIPPED, _RUINED = 0.02, 0.002, 0.2
_ODD_SHARE = 0.03
_NARROWER, _WIDER = 0.6, 1.6
_ALIKE = 0.15


def outliers(columns: Columns, labels: Sequence[str]) -> Columns:
    """Outliers, bool ``(n,)``: ``mostly_noise``, ``clipped`` and ``odd_bandwidth``.

    Args:
        columns: those of `headrace.media.audio.signals.measure`.
        labels: ``(n,)``.
    """
    sounding = ~(columns["blank"] | columns["silence"])
    noise = _mostly_noise(columns, sounding, labels)
    clipped = _clipped(columns, sounding)
    # Noise and clipping widen the spectrum, so they are not reported as this too.
    odd = _odd_bandwidth(columns, sounding) & ~noise & ~clipped
    return {"mostly_noise": noise, "clipped": clipped, "odd_bandwidth": odd}


def _has_gap(outliers: _Flags, in_gap: _Flags, sounding: _Flags) -> bool:
    count = int(np.count_nonzero(sounding))
    gap = int(np.count_nonzero(in_gap & sounding & ~outliers))
    if count < _LEAST_SOUNDS or not outliers.any():
        return False
    return gap <= max(1.0, _GAP_SHARE * count)


def _mostly_noise(columns: Columns, sounding: _Flags, labels: Sequence[str]) -> _Flags:
    noise = columns["noise"] & sounding
    in_gap = columns["flatness"] >= _FLATNESS
    in_gap &= columns["level_spread_db"] <= _SPREAD_DB
    if not _has_gap(noise, in_gap, sounding):
        return np.zeros(len(noise), bool)
    _, classes = np.unique(np.asarray(labels, object).astype(str), return_inverse=True)
    sizes = np.bincount(classes[sounding], minlength=int(classes.max()) + 1)
    noises = np.bincount(classes[noise], minlength=len(sizes))
    # The sound itself is left out of the share of its class.
    others = np.maximum(sizes[classes] - 1, 1)
    is_natural: _Flags = (noises[classes] - 1) / others >= _CLASS_SHARE
    return np.asarray(noise & ~is_natural)


def _clipped(columns: Columns, sounding: _Flags) -> _Flags:
    share = columns["clipped_share"]
    clipped = (share >= _CLIPPED) & sounding
    if _has_gap(clipped, share >= _SOMEWHAT_CLIPPED, sounding):
        return clipped
    return sounding & (share >= _RUINED)


def _odd_bandwidth(columns: Columns, sounding: _Flags) -> _Flags:
    """Sounds that probably had another sample rate: their spectrum ends elsewhere."""
    none = np.zeros(len(sounding), bool)
    if np.count_nonzero(sounding) < _LEAST_SOUNDS:
        return none
    width = columns["bandwidth_hz"]
    usual = float(np.median(width[sounding]))
    differs = (width < (1 - _ALIKE) * usual) | (width > (1 + _ALIKE) * usual)
    if np.count_nonzero(differs & sounding) > max(
        1.0, _ODD_SHARE * np.count_nonzero(sounding)
    ):
        return none
    differs_much = (width < _NARROWER * usual) | (width > _WIDER * usual)
    return np.asarray(differs_much & columns["cliff"] & sounding)
