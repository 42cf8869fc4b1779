"""Classification: one of several labels for an item.

A network gives a probability for each class; an answer is the likeliest one, and its
score is whether it is right. Targets are class indices, int32 ``(n,)``.
"""

SCORE = "accuracy"
HIGHER_IS_BETTER = True
EXPLAINS = True  # its answers
HEADLINE = "test_accuracy"
# The metrics that are proportional to the mean score of a test split, and that mean.
MEAN_SCORES = {"test_accuracy": "test_accuracy"}
# Metrics that `headrace compare` shows, and their short names.
SHOWN = {
    "test_accuracy": "accuracy",
    "test_log_loss": "log loss",
    "test_calibration_error": "calibration",
}
# Pictures of a test split, and their captions.
PICTURES = {
    "confusion": "Confusion matrix: predicted class by true class, as shares of each "
    "row; numbers of rows in brackets.",
    "calibration": "Calibration: accuracy by predicted confidence, with the number of "
    "rows.",
}
MISTAKES = "Most confident mistakes"

GATES = {
    "accuracy": {"metric": "test_accuracy", "direction": "min"},
    "class_floor": {"metric": "test_class_recall_min", "direction": "min"},
    "calibration": {"metric": "test_calibration_error", "direction": "max"},
}
# Where a pipeline file names no gates; each with the bound that it has there.
DEFAULT_GATES = {"accuracy": 0.5, "class_floor": 0.2, "calibration": 0.2}
# Fields of [data] and [training] that mean nothing to this task.
UNUSED = ("training.canaries", "training.ngrams")
