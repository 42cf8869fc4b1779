"""Tagging: any number of tags for an item.

A network gives a probability for each tag, and the saved model a threshold beside each:
outputs are ``(n, 2 * tags)``. What reaches its threshold is answered. Targets are 1 for
the tags of an item and 0 for all others, float32 ``(n, tags)``.
"""

SCORE = "f1"
HIGHER_IS_BETTER = True
EXPLAINS = True  # its answers
# What is measured beside the loss in training, where thresholds are not known yet.
TRAINING_SCORE = "tag_accuracy"
HEADLINE = "test_micro_f1"
# The metrics that are proportional to the mean score of a test split, and that mean.
MEAN_SCORES = {"test_micro_f1": "test_micro_f1"}
# A label is a list of tags, or a text that data.label_separator parts.
LABELS_ARE_LISTS = True
# Facts on how labels are written: models are compared though these differ.
PADDING = ("separator",)
# Metrics that `headrace compare` shows, and their short names.
SHOWN = {
    "test_micro_f1": "micro F1",
    "test_macro_f1": "macro F1",
    "test_calibration_error": "calibration",
}
# Pictures of a test split, and their captions.
PICTURES = {
    "tags": "F1 of each tag with its interval, the worst first; test rows that have it "
    "in brackets.",
    "calibration": "Calibration: how often an item has a tag, by its probability.",
}
MISTAKES = "Answers with the most wrong tags"

GATES = {
    "f1": {"metric": "test_micro_f1", "direction": "min"},
    "macro_f1": {"metric": "test_macro_f1", "direction": "min"},
    "tag_floor": {"metric": "test_tag_f1_low_min", "direction": "min"},
    "calibration": {"metric": "test_calibration_error", "direction": "max"},
}
# Where a pipeline file names no gates; each with the bound that it has there.
DEFAULT_GATES = {"f1": 0.5, "calibration": 0.2}
# Fields of the spec that mean nothing to this task.
UNUSED = ("training.canaries", "training.ngrams", "training.label_smoothing")
