"""A run's metrics as people read them: in words, and beside the champion's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from headrace.records import Metrics
from headrace.tasks import Task

# What metrics of every task mean, by name; ``{score}`` is the name of the task's score.
OF_EVERY_TASK = {
    "robustness_{score}": "The score after changes that happen in use: the mean over "
    "kinds of changes of the mean over their strengths.",
    "{score}_seen_groups": "The score on groups that train has.",
    "test_{score}_unseen_groups": "The score on groups that train does not have.",
    "group_difference": "The largest score of a group minus the smallest, of groups of "
    "at least 30 test rows.",
    "group_ratio": "The smallest score of a group divided by the largest.",
    "weak_slices": "The number of confirmed weak slices: rows with something in common "
    "of which more answers are bad.",
    "weak_slice_loss": "The largest loss of a weak slice against the rest; 0 without "
    "any.",
    "suspect_labels": "The number of labels to look at, at most 50.",
    "membership_auc": "How well it is told which rows the model learned from, 0.5 for "
    "guessing; its interval is DeLong's.",
    "membership_tpr_at_1pct": "The share of the rows of train that are found with 1% "
    "of false alarms.",
    "model_megabytes": "Size of the model file.",
    "latency_ms": "Median milliseconds for one item, in a clean process that is warmed "
    "up, while the evaluation runs beside it.",
}
# Those by which Headrace checks itself, of which a report needs to say less.
INTERNAL = {
    "non_finite_values": "Number of values in the answers that are NaN or infinite.",
    "serving_difference": "Largest difference between an answer of the clean process "
    "and of the trained model.",
    "robustness_rows": "The number of test rows that were changed.",
    "val_groups_apart": "1 where train has no group of the validation split, so that "
    "confidence was calibrated on unseen groups.",
    "gradients_random_weights": "Rank correlation of the model's explanations by "
    "integrated gradients with those of a model with random weights.",
    "gradients_random_labels": "Rank correlation of the explanations by integrated "
    "gradients with those of a model that learned random labels.",
    "gradients_other_seed": "Rank correlation of the explanations by integrated "
    "gradients with those of a model of another seed.",
    "gradients_completeness_error": "How far integrated gradients are from adding up, "
    "as a share: the 95th percentile over the same rows.",
    "occlusion_random_weights": "Rank correlation of the explanations by occlusion "
    "with those of a model with random weights.",
    "occlusion_random_labels": "Rank correlation of the explanations by occlusion with "
    "those of a model that learned random labels.",
    "occlusion_other_seed": "Rank correlation of the explanations by occlusion with "
    "those of a model of another seed.",
    "compared_items": "Test items on which it was compared with the champion.",
    "new_items": "Test items that no version was judged on before.",
    "champion_p_value": "How likely such a lead over the champion would be if the two "
    "were equally good.",
    "best_p_value": "How likely such a lead over the best former champion would be if "
    "the two were equally good.",
    "attempt_on_new_items": "Which attempt on new test items this is; the attempts "
    "share a significance level.",
}


class Measured(NamedTuple):
    """A metric of one version, with its interval where it has one."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, metrics: Mapping[str, Any], name: str) -> Measured | None:
        """A metric by its name; None if there is none, or it is not known."""
        if (value := metrics.get(name)) is None:
            return None
        return cls(value, metrics.get(f"{name}_low"), metrics.get(f"{name}_high"))

    @property
    def ends(self) -> tuple[float, float]:
        """Its interval; of a metric without one, the value."""
        low = self.value if self.low is None else self.low
        return low, self.value if self.high is None else self.high


def sentences(learned: Task) -> dict[str, str]:
    """What the metrics of a task mean, by name."""
    shared = {**OF_EVERY_TASK, **INTERNAL}
    named = {name.format(score=learned.score): s for name, s in shared.items()}
    return {**learned.answers.METRICS, **named}


def label(name: str) -> str:
    """A metric's name in words."""
    words = name.removeprefix("test_").split("_")
    return " ".join({"f1": "F1", "auc": "AUC"}.get(word, word) for word in words)


def metric_rows(
    metrics: Metrics, champions: Mapping[str, Any], learned: Task
) -> list[dict[str, Any]]:
    """The metrics as rows of a table, those that versions are compared by first.

    Args:
        metrics: by name; the ends of an interval are metrics too.
        champions: those of the champion.
        learned: the task.
    """
    said = sentences(learned)
    order = {name: place for place, name in enumerate([*learned.shown, *said])}
    ends = {f"{name}_{end}" for name in metrics for end in ("low", "high")}
    return [
        {
            "name": label(name),
            "value": value,
            "low": metrics.get(f"{name}_low"),
            "high": metrics.get(f"{name}_high"),
            "champion": champions.get(name),
            "sentence": said.get(name, ""),
            "internal": name in INTERNAL
            or not (name in said or name.startswith("test_")),
        }
        for name, value in sorted(
            metrics.items(), key=lambda metric: order.get(metric[0], len(order))
        )
        if name not in ends
    ]


def headline(
    metrics: Metrics, champions: Mapping[str, Any], learned: Task
) -> dict[str, Any] | None:
    """The task's main metric and the others that versions are compared by.

    Args:
        metrics, champions, learned: as for `metric_rows`.

    Returns:
        None without the main metric. Places are in percent of a line that has both
        intervals on it.
    """
    own = Measured.of(metrics, learned.headline)
    if own is None:
        return None
    champion = Measured.of(champions, learned.headline)
    both = [one for one in (own, champion) if one is not None]
    least, most = (f(end for one in both for end in one.ends) for f in (min, max))
    spread = (most - least) or abs(most) or 1.0
    if not math.isfinite(spread):
        both = []
    least, most = least - spread / 8, most + spread / 8

    def place(value: float) -> float:
        return round(100 * (value - least) / (most - least), 2)

    return {
        "name": label(learned.headline),
        "own": own,
        "champion": champion,
        "lines": [
            {"point": place(one.value), "ends": [*map(place, one.ends)]} for one in both
        ],
        "better": "higher" if learned.higher_is_better else "lower",
        "others": [
            {
                "name": label(name),
                "own": Measured.of(metrics, name),
                "champion": champions.get(name),
            }
            for name in learned.shown
            if name in metrics and name != learned.headline
        ],
    }
