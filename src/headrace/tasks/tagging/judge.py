"""Scores and metrics of tags: F1, of all tags together and of each.

The score of a row is twice the number of its right tags, its weight the number of its
tags and of those that are answered: the ratio of the sums is the micro F1. The interval
of one tag's F1 is that of the share of right ones among the rows that have it or get it
(E. B. Wilson, 1927), of which F1 is a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import INK, fonts_for, new_figure, save
from headrace.pipeline import EvaluationSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks import Explained, Judge
from headrace.tasks.calibration import bins_of, calibration_error, draw_calibration
from headrace.tasks.forms import Outputs, Rated, Scores, Targets, some
from headrace.tasks.judge import Judged
from headrace.tasks.judging import (
    bootstrap_of_ratio,
    is_answered,
    rate_of,
    wilson_bounds,
    with_ends,
    z_of,
)

_LEAST = 1e-7
_DRAWN = 40
_SHOWN = 5
Flags = npt.NDArray[np.bool_]


def probabilities_of(outputs: Outputs) -> Outputs:
    """Of each tag, ``(n, tags)``."""
    return outputs[:, : outputs.shape[1] // 2]


def answered(outputs: Outputs) -> Flags:
    """Which tags are answered, bool ``(n, tags)``; none of outputs with NaN."""
    reached = probabilities_of(outputs) >= outputs[:, outputs.shape[1] // 2 :]
    return np.asarray(reached & is_answered(outputs)[:, np.newaxis], bool)


def constant_f1(targets: Targets) -> tuple[npt.NDArray[np.intp], float]:
    """The tags that are best answered to all rows ``(n, tags)``, and their micro F1."""
    sizes = targets.sum(axis=0)
    order = np.argsort(-sizes, kind="stable")
    answers = len(targets) * np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(sizes[order]) / (answers + sizes.sum())
    return order[: int(f1.argmax()) + 1], float(f1.max())


@dataclass(frozen=True)
class JudgedTags(Judged):
    """Answers ``(n, 2 * tags)`` with the tags of their rows ``(n, tags)``."""

    WEIGHTS_VARY = True

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Of each tag, ``(n, tags)``."""
        return probabilities_of(self.outputs).astype(np.float64)

    @cached_property
    def given(self) -> Flags:
        """Which tags are answered, bool ``(n, tags)``."""
        return answered(self.outputs)

    @cached_property
    def scores(self) -> Scores:
        """Twice the right tags, float64 ``(n,)``; NaN where a true one is unknown."""
        right = self.given * self.targets.astype(np.float64)
        return np.asarray(2 * right.sum(axis=1))

    @cached_property
    def weights(self) -> Scores:
        """The tags of each row and those that are answered; 0 where unknown."""
        sizes = self.given + self.targets.astype(np.float64)
        return np.asarray(np.nan_to_num(sizes.sum(axis=1)))

    @property
    def badness(self) -> Any:
        """How far off the probabilities of the wrong tags are, together."""
        off = np.abs(self.probabilities - self.targets)
        return np.where(self.given == self.targets, 0.0, off).sum(axis=1)

    def calibration(self, bins: int) -> list[Metrics]:
        """Tags, mean probability and share of true ones in bins of probability."""
        true = (self.targets == 1).ravel()
        return bins_of(self.probabilities.ravel(), true, bins)

    def metrics(self, evaluation: EvaluationSpec) -> tuple[Metrics, dict[str, Metrics]]:
        """Micro and macro F1, calibration, and each tag as a slice.

        ``test_tag_f1_min`` is the F1 of the worst tag, ``test_tag_f1_low_min`` the
        least lower end of a tag's interval; ``test_constant_f1`` is the micro F1 of
        always giving the same tags; ``test_right_answers`` is the share of rows all of
        whose tags are right.
        """
        given, true, sure = self.given, self.targets == 1, evaluation.confidence
        f1, low, high = f1_of_tags(given, true, sure)
        with np.errstate(invalid="ignore", divide="ignore"):
            hits, size, answers = (x.sum(axis=0) for x in (given & true, true, given))
            columns = size, hits / size, np.where(answers, hits / answers, 0.0)
        table = np.stack([*columns, f1, low, high], axis=1).tolist()
        names = ("rows", "recall", "precision", "f1", "f1_low", "f1_high")
        own = self.probabilities
        right = np.where(true, own, 1 - own).clip(_LEAST, 1)
        bins = self.calibration(evaluation.calibration_bins)
        whole = self.judge.summary(self.scores, sure, self.weights)
        return {
            **with_ends(
                "test_micro_f1", whole["f1"], (whole["f1_low"], whole["f1_high"])
            ),
            "test_macro_f1": float(f1.mean()),
            "test_tag_f1_min": float(f1.min()),
            "test_tag_f1_low_min": float(low.min()),
            "test_constant_f1": constant_f1(self.targets)[1],
            "test_right_answers": float((given == true).all(axis=1).mean()),
            "test_log_loss": float(-np.log(right).mean()),
            "test_calibration_error": calibration_error(bins),
            "non_finite_values": float((~np.isfinite(self.outputs)).sum()),
        }, {
            f"tag={tag}": dict(zip(names, numbers, strict=True))
            for tag, numbers in zip(self.data.tags, table, strict=True)
        }

    def rate(self, name: str) -> Rated | None:
        """``tag=NAME/recall``, ``/precision`` or ``/answered``, its share of rows."""
        tag, _, rate = name.removeprefix("tag=").rpartition("/")
        if not name.startswith("tag=") or tag not in self.data.tags:
            return None
        place = self.data.tags.index(tag)
        true = np.asarray(self.targets[:, place] == 1)
        return rate_of(rate, self.given[:, place], true)

    def draw(self, evaluation: EvaluationSpec, folder: Path) -> None:
        """The F1 of each tag, and calibration."""
        true, tags = self.targets == 1, self.data.tags
        f1, low, high = f1_of_tags(self.given, true, evaluation.confidence)
        worst = np.argsort(f1, kind="stable")[:_DRAWN]
        names = [f"{tags[n]} ({true[:, n].sum():,})" for n in worst]
        if fonts_for("".join(tags))[1]:  # boxes would be drawn for some letters
            names = [f"tag {n + 1}" for n in worst]
        figure = new_figure(6, max(3.0, 0.25 * len(worst) + 1))
        axes, ends = figure.subplots(), np.stack([f1 - low, high - f1])[:, worst]
        axes.errorbar(f1[worst], names, xerr=np.maximum(ends, 0), fmt="o", color=INK)
        axes.set(xlim=(0, 1), xlabel="F1", title="test split")
        axes.invert_yaxis()
        axes.grid(alpha=0.3)
        save(figure, folder / "tags.png")
        bins = self.calibration(evaluation.calibration_bins)
        draw_calibration(bins, folder / "calibration.png")


def f1_of_tags(given: Flags, true: Flags, confidence: float) -> tuple[Any, Any, Any]:
    """F1 of each tag, and the ends of its interval, ``(tags,)`` each.

    Args:
        given, true: which tags the rows get and have, bool ``(n, tags)``.
        confidence: of each interval.
    """
    rows, hits = (given | true).sum(axis=0), (given & true).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ends = wilson_bounds(hits / rows, rows, z_of(confidence))
        f1, low, high = (2 * share / (1 + share) for share in (hits / rows, *ends))
    return f1, low, high


class TagsRight(Judge):
    JUDGED = JudgedTags

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """The micro F1 with its interval, by the bootstrap over rows."""
        sizes = np.ones(len(scores)) if weights is None else weights
        f1 = float(scores.sum() / (sizes.sum() or np.nan))
        ends = bootstrap_of_ratio(scores, sizes, confidence, by_counts=True)
        rest = (scores - f1 * sizes) / (float(sizes.mean()) or 1.0)
        return {**with_ends("f1", f1, ends), "f1_deviation": float(rest.std())}

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """The true and the answered tags."""
        given = answered(output[np.newaxis])[0]
        true, own = (
            some([t for t, has in zip(data.tags, row, strict=True) if has], _SHOWN)
            for row in (target == 1, given)
        )
        return f"true {true or 'no tag'}\nanswered {own or 'no tag'}"

    def monitored(self, outputs: Outputs, data: DataDescription) -> dict[str, Any]:
        """The probability of each tag."""
        own = probabilities_of(outputs).astype(np.float64)
        return {f"probability of {tag}": own[:, n] for n, tag in enumerate(data.tags)}


class LogOddsOfATag(Explained):
    UNIT = "log-odds of the tag"

    def names(self, data: DataDescription) -> Sequence[str]:
        return list(data.tags)

    def chosen(self, outputs: Outputs) -> npt.NDArray[np.int32]:
        """The tag that is farthest above its threshold, or least below it."""
        own = probabilities_of(outputs)
        return np.asarray((own - outputs[:, own.shape[1] :]).argmax(axis=1), np.int32)

    def numbers(
        self, outputs: Outputs, chosen: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        """The log-odds of the chosen tags."""
        own = outputs[np.arange(len(outputs)), chosen].astype(np.float64)
        own = own.clip(_LEAST, 1 - _LEAST)
        return np.asarray(np.log(own / (1 - own)), np.float64)

    def at_random(
        self,
        chosen: npt.NDArray[np.int32],
        data: DataDescription,
        random: np.random.Generator,
    ) -> npt.NDArray[np.int32]:
        return random.integers(len(data.tags), size=len(chosen), dtype=np.int32)

    def words(self, output: Outputs, data: DataDescription) -> str:
        """The tags and their probabilities."""
        own = probabilities_of(output[np.newaxis])[0]
        given = np.flatnonzero(answered(output[np.newaxis])[0])
        each = [f"{data.tags[n]} ({own[n]:.1%})" for n in given]
        return ", ".join(each) or "no tag"


JUDGE = TagsRight()
EXPLAINED = LogOddsOfATag()
