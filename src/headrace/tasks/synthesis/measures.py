"""The numbers by which answers are judged."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from headrace.records import DataDescription, Metrics
from headrace.tasks.forms import Targets
from headrace.tasks.judging import share_of
from headrace.tasks.synthesis.distances import (
    STEPS,
    Floats,
    distances,
    global_variance,
    lengths,
    pairwise,
)
from headrace.tasks.synthesis.recogniser import Indices

_ROWS = 512  # whose distances to all of train are computed together


def keys_of(targets: Targets) -> Indices:
    """The text and the speaker of each row, int64 ``(n, 2)``."""
    return targets[:, :2].astype(np.int64)


def profiles_of(targets: Targets, data: DataDescription) -> Floats:
    """The profile of each row's recording, ``(n, steps, bins)``."""
    shaped: Floats = targets[:, 2:].reshape(len(targets), STEPS, -1)
    return shaped


def heard_metrics(heard: Indices, keys: Indices, confidence: float) -> Metrics:
    """The shares of answers whose text, speaker, or both were heard, with intervals."""
    right = heard == keys
    return {
        **share_of("test_text_accuracy", right[:, 0], confidence),
        **share_of("test_speaker_accuracy", right[:, 1], confidence),
        **share_of("test_recognised", right.all(axis=1), confidence),
    }


def slices_of(
    heard: Indices, keys: Indices, data: DataDescription
) -> dict[str, Metrics]:
    """The shares for each text."""
    right = heard == keys
    slices = {}
    for index, text in enumerate(data.texts):
        own = right[keys[:, 0] == index]
        if len(own):
            slices[f"text={text}"] = {
                "rows": float(len(own)),
                "text_accuracy": float(own[:, 0].mean()),
                "speaker_accuracy": float(own[:, 1].mean()),
            }
    return slices


def nearest(profiles: Floats, train: Floats) -> Floats:
    """The distance of each answer to the nearest recording of train, dB ``(n,)``."""
    starts = range(0, len(profiles), _ROWS)
    parts = [distances(profiles[s : s + _ROWS], train).min(axis=1) for s in starts]
    return np.concatenate([np.empty(0, np.float32), *parts])


def diversity(profiles: Floats, keys: Indices) -> float:
    """The mean distance between two takes of one text by one speaker, dB.

    NaN where no text and speaker have two.
    """
    pairs = [np.empty(0, np.float32)]
    for key in np.unique(keys, axis=0):
        own = profiles[(keys == key).all(axis=1)]
        pairs.append(distances(own, own)[np.triu_indices(len(own), 1)])
    every = np.concatenate(pairs)
    return float(every.mean()) if len(every) else math.nan


def sound_metrics(
    sounds: Floats, profiles: Floats, targets: Targets, data: DataDescription
) -> Metrics:
    """How answers compare with the recordings of the same rows.

    ``test_global_variance`` is the ratio of the variance of answers over time to that
    of recordings. ``test_distortion_db`` favours averages, so no gate should rest on
    it. ``test_length_ratio`` is that of the mean lengths in ``test_real_seconds``.
    """
    real = profiles_of(targets, data)
    variances = global_variance(profiles), global_variance(real)
    return {
        "test_diversity_db": diversity(profiles, keys_of(targets)),
        "test_global_variance": float(variances[0].mean() / variances[1].mean()),
        "test_distortion_db": float(pairwise(profiles, real).mean()),
        "test_seconds": float(lengths(sounds).mean()) / data.sample_rate_hz,
        "non_finite_values": float((~np.isfinite(sounds)).sum()),
    }


def template_metrics(
    heard: Indices,
    keys: Indices,
    of_templates: Mapping[tuple[int, int], tuple[int, int]],
) -> Metrics:
    """The same rows answered by the average of their recordings, compared by pairs.

    Args:
        heard: of the model's answers, ``(n, 2)``.
        keys: the text and the speaker of each row, ``(n, 2)``.
        of_templates: what was heard of each average, by text and speaker.

    Returns:
        the accuracies of the averages, the numbers of rows that only the model and only
        the average get right, and the two-sided p-value of McNemar's exact test.
    """
    from scipy import stats

    rows = [tuple(key) for key in keys.tolist()]
    has_template = np.array([row in of_templates for row in rows], bool)
    if not has_template.any():
        return {}
    others = np.array([of_templates.get(row, (-1, -1)) for row in rows])[has_template]
    right = keys[has_template]
    own, theirs = heard[has_template] == right, others == right
    better = int((own.all(1) & ~theirs.all(1)).sum())
    worse = int((theirs.all(1) & ~own.all(1)).sum())
    p_value = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    return {
        "template_text_accuracy": float(theirs[:, 0].mean()),
        "template_speaker_accuracy": float(theirs[:, 1].mean()),
        "template_recognised": float(theirs.all(axis=1).mean()),
        "better_than_template": float(better),
        "worse_than_template": float(worse),
        "template_p_value": float(p_value),
    }
