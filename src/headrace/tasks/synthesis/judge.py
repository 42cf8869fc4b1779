"""Judges answers: are they understood, are they new, and do they differ?

The score is whether the recogniser hears both the text and the speaker. An average of
recordings is understood as well, so other metrics stand beside it: how far answers are
from the nearest recording of train, how far from each other, and whether they vary over
time as real ones do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import UsageError
from headrace.media import medium
from headrace.media.audio.spectra import Framing
from headrace.pipeline import EvaluationSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks import Judge, Judged
from headrace.tasks.forms import Context, Outputs, Scores, Targets
from headrace.tasks.judging import share_of
from headrace.tasks.synthesis import pictures, speech
from headrace.tasks.synthesis.distances import (
    STEPS,
    Floats,
    distances,
    global_variance,
    lengths,
    pairwise,
    profiles,
)
from headrace.tasks.synthesis.recogniser import (
    Indices,
    Recogniser,
    recipe_digest,
    train_recogniser,
)

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


@dataclass(frozen=True)
class Reference:
    """What answers are compared with.

    Attributes:
        train: the profiles of the recordings of train, ``(n, steps, bins)``.
        real: metrics of the real recordings of test.
        folder: of files that are logged with the run.
    """

    train: Floats
    real: Metrics
    folder: Path


@dataclass(frozen=True)
class JudgedSounds(Judged):
    """Answers ``(n, samples)`` with the texts, speakers and profiles of their rows."""

    judge: Understood

    @cached_property
    def keys(self) -> Indices:
        """The text and the speaker of each row, ``(n, 2)``."""
        return keys_of(self.targets)

    @cached_property
    def heard(self) -> Indices:
        """The text and the speaker that are heard, ``(n, 2)``; -1 of what is NaN."""
        heard = self.judge.trained_recogniser().hear(self.outputs)
        return np.where(self.is_answered[:, np.newaxis], heard, -1)

    @cached_property
    def profiles(self) -> Floats:
        """Of the answers, ``(n, steps, bins)``."""
        return profiles(np.nan_to_num(self.outputs), Framing.of(self.data))

    @cached_property
    def scores(self) -> Scores:
        """Whether text and speaker are heard, bool ``(n,)``."""
        return np.asarray((self.heard == self.keys).all(axis=1), bool)

    @property
    def badness(self) -> Any:
        """2 where neither text nor speaker is heard, 1 where one is, else 0."""
        return (self.heard != self.keys).sum(axis=1)

    def metrics(self, evaluation: EvaluationSpec) -> tuple[Metrics, dict[str, Metrics]]:
        """Metrics of the test split, and of each text as a slice.

        ``test_nearest_train_db`` is the least distance of any answer to any recording
        of train, so that one copy is enough for its gate.
        """
        heard, keys, own, data = self.heard, self.keys, self.profiles, self.data
        metrics = {
            **heard_metrics(heard, keys, evaluation.confidence),
            **sound_metrics(self.outputs, own, self.targets, data),
        }
        if (reference := self.judge.reference) is not None:
            near = nearest(own, reference.train)
            metrics |= {
                "test_nearest_train_db": float(near.min()),
                "test_nearest_train_median_db": float(np.median(near)),
                **reference.real,
            }
        return metrics, slices_of(heard, keys, data)

    def draw(self, evaluation: EvaluationSpec, folder: Path) -> None:
        """Pairs and distances; players for a sample of answers."""
        keys, heard, own, data = self.keys, self.heard, self.profiles, self.data
        real = profiles_of(self.targets, data)
        names = [speech.name_of(key, data) for key in keys]
        pictures.draw_pairs(real, own, names, folder / "pairs.png")
        if (reference := self.judge.reference) is not None:
            train = reference.train
            near = nearest(own, train), nearest(real, train)
            pictures.draw_distances(*near, folder / "distances.png")
            speech.write_players(self.outputs, keys, heard, data, reference.folder)


@dataclass(frozen=True)
class Understood(Judge):
    """See `headrace.tasks.Judge`.

    Attributes:
        recogniser: of the data set; None before `prepared`.
        reference: what answers are compared with.
    """

    JUDGED = JudgedSounds
    IS_ALONE = False

    recogniser: Recogniser | None = None
    reference: Reference | None = None

    def prepared(self, context: Context) -> Judge:
        """Read the recordings; fit the recogniser, or find it in the store."""
        data = context.data
        raw = medium(data.medium).raw
        parts = [part for part in context.train if len(part.items)]
        wanted = np.concatenate([part.targets for part in parts])
        keys, items = keys_of(wanted), context.train.items().tobytes()
        name = f"recognisers/{recipe_digest(items, keys, data)}.keras"
        if file := context.store.find(name):
            recogniser = Recogniser(file, data)
        else:
            sounds = np.concatenate([raw(part.items) for part in parts])
            recogniser = train_recogniser(sounds, keys, data)
            context.store.write(name, recogniser.file)
        tests = [part for part in context.test if len(part.items)]
        truth = np.concatenate([part.targets for part in tests])
        sounds = np.concatenate([raw(part.items) for part in tests])
        right = recogniser.hear(sounds) == keys_of(truth)
        real = {
            "recogniser_accuracy": float(right.all(axis=1).mean()),
            "recogniser_text_accuracy": float(right[:, 0].mean()),
            "recogniser_speaker_accuracy": float(right[:, 1].mean()),
            "real_diversity_db": diversity(profiles_of(truth, data), keys_of(truth)),
            "real_seconds": float(lengths(sounds).mean()) / data.sample_rate_hz,
        }
        reference = Reference(profiles_of(wanted, data), real, context.folder)
        return replace(self, recogniser=recogniser, reference=reference)

    def trained_recogniser(self) -> Recogniser:
        """The recogniser.

        Raises:
            UsageError: the judge was not prepared.
        """
        if self.recogniser is None:
            raise UsageError(
                "The answers of a synthesis are judged by a recogniser of its data.",
                "Evaluate the model: headrace run.",
            )
        return self.recogniser

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """The share that is recognised, with its Wilson interval."""
        return share_of("recognised", scores, confidence)

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """What was asked for, and what was heard."""
        heard = self.trained_recogniser().hear(output[np.newaxis])
        keys = (*keys_of(target[np.newaxis]), *heard)
        asked, understood = (speech.name_of(key, data) for key in keys)
        return f"asked for {asked}\nheard as {understood}"

    def monitored(self, outputs: Outputs, data: DataDescription) -> dict[str, Any]:
        """The length in seconds, and the level in decibels of full scale."""
        ends = lengths(outputs)
        power = np.square(outputs.astype(np.float64)).sum(axis=1) / ends
        return {
            "seconds": ends / data.sample_rate_hz,
            "level": 10 * np.log10(np.maximum(power, 1e-10)),
        }


JUDGE = Understood()
