"""A run's metrics as people read them: in words, and beside the champion's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from headrace.display.signs import as_score
from headrace.explanations.check import SENTENCES
from headrace.pipeline import PipelineSpec
from headrace.records import VAL_APART, EvaluationRecord, Metrics
from headrace.tasks import Task, task

# What metrics of every task mean, by name; ``{score}`` is the name of the task's score.
OF_EVERY_TASK = {
    "robustness_{score}": "The score after changes that happen in use: the mean over "
    "kinds of changes of the mean over their strengths.",
    "{score}_seen_groups": "The score on groups that train has.",
    "test_{score}_unseen_groups": "The score on groups that train does not have.",
    "group_difference": "The largest score of a group minus the smallest, of groups of "
    "at least 30 test rows.",
    "weak_slices": "The number of confirmed weak slices: rows with something in common "
    "of which more answers are bad.",
    "weak_slice_loss": "The largest loss of a weak slice against the rest; 0 without "
    "any.",
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
    **SENTENCES,
    "compared_items": "Test items on which it was compared with the champion.",
    "new_items": "Test items that no version was judged on before.",
    "champion_p_value": "How likely such a lead over the champion would be if the two "
    "were equally good.",
}


def metric_rows(
    metrics: Metrics, champions: Mapping[str, Any], learned: Task
) -> dict[str, dict[str, Any]]:
    """The rows of a table by metric; those that versions are compared by come first.

    Args:
        metrics: by name; the ends of an interval are metrics too.
        champions: those of the champion.
        learned: the task.
    """
    shared = {**OF_EVERY_TASK, **INTERNAL}
    named = {name.format(score=learned.score): text for name, text in shared.items()}
    sentences = {**learned.answers.METRICS, **named}
    order = {name: n for n, name in enumerate([*learned.shown, *sentences])}
    ends = {f"{name}_{end}" for name in metrics for end in ("low", "high")}
    return {
        name: {
            "name": _in_words(name),
            "value": metrics[name],
            "low": metrics.get(f"{name}_low"),
            "high": metrics.get(f"{name}_high"),
            "champion": champions.get(name),
            "champion_low": champions.get(f"{name}_low"),
            "champion_high": champions.get(f"{name}_high"),
            "sentence": sentences.get(name, ""),
            "internal": name in INTERNAL
            or not (name in sentences or name.startswith("test_")),
        }
        for name in sorted(metrics, key=lambda name: order.get(name, len(order)))
        if name not in ends
    }


def interval_lines(row: Mapping[str, Any]) -> list[list[float]]:
    """A metric's interval and the champion's, as they are drawn below each other.

    Args:
        row: of `metric_rows`.

    Returns:
        of each, the places of its lower end, its value and its upper end, in percent of
        a line that has both intervals on it; empty without a champion's value.
    """
    own = _ends(row["low"], row["value"], row["high"])
    champion = _ends(row["champion_low"], row["champion"], row["champion_high"])
    both = [*own, *champion]
    if None in both or not all(map(math.isfinite, both)):
        return []
    least, most = min(both), max(both)
    margin = ((most - least) or abs(most) or 1.0) / 8
    width = most - least + 2 * margin
    return [
        [round(100 * (value - least + margin) / width, 2) for value in line]
        for line in (own, champion)
    ]


def group_sentences(
    spec: PipelineSpec, evaluation: EvaluationRecord | None
) -> list[str]:
    """What groups get that the model did not learn from, such as other speakers."""
    slices, column = evaluation.slices if evaluation else {}, spec.data.group
    unseen = slices.get("groups=unseen")
    if evaluation is None or not (unseen or "groups=seen" in slices):
        return []
    if unseen is None:
        return [
            f"The test split has no other groups ({column}) than train: what they get "
            "was not measured; test_groups in [data] keeps some out of train."
        ]
    score = task(spec.task).score
    sentence = (
        f"Of groups ({column}) that it did not learn from, the test split has "
        f"{unseen['rows']:,.0f} rows: {score.replace('_', ' ')} "
        f"{as_score(unseen[score])}"
    )
    if (promised := unseen.get("confidence")) is None:
        return [f"{sentence}."]
    sentence += f", mean confidence {promised:.2f}, {unseen['right']:.2f} are right."
    if not spec.training.calibrate:
        return [sentence]
    where = "groups that it did not learn from"
    if VAL_APART not in evaluation.metrics:
        where = "groups that it learned from, so it promises too much of others"
    return [sentence, f"Its confidence was calibrated on {where}."]


def _ends(low: Any, value: Any, high: Any) -> list[Any]:
    return [value if low is None else low, value, value if high is None else high]


def _in_words(name: str) -> str:
    words = name.removeprefix("test_").split("_")
    return " ".join({"f1": "F1", "auc": "AUC"}.get(word, word) for word in words)
