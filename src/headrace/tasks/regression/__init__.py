"""Regression: a number for an item.

A network gives one number; its score is how far that is from the true one. Targets are
float32 ``(n,)``, outputs ``(n, 1)``, both in the unit of the data.
"""

SCORE = "absolute_error"
HIGHER_IS_BETTER = False
EXPLAINS = True  # its answers
LABELS_ARE_NUMBERS = True
HEADLINE = "test_median_absolute_error"
# The metrics that are proportional to the mean score of a test split, and that mean.
MEAN_SCORES = {
    "test_mean_absolute_error": "test_mean_absolute_error",
    "test_relative_error": "test_mean_absolute_error",
}
# Metrics that `headrace compare` shows, and their short names.
SHOWN = {
    "test_median_absolute_error": "median error",
    "test_mean_absolute_error": "mean error",
    "test_bias": "bias",
}
# Pictures of a test split, and their captions.
PICTURES = {
    "predictions": "Predictions by true number; on the line they are equal.",
    "residuals": "Residuals: predicted minus true, by true number; their histogram.",
}
MISTAKES = "Largest errors"

GATES = {
    "error": {"metric": "test_mean_absolute_error", "direction": "max"},
    "median_error": {"metric": "test_median_absolute_error", "direction": "max"},
    "bias": {"metric": "test_bias_size", "direction": "max"},
    "relative_error": {"metric": "test_relative_error", "direction": "max"},
    "relative_bias": {"metric": "test_relative_bias", "direction": "max"},
}
# Where a pipeline file names no gates: shares of what the median of the targets would
# be wrong by, so that they need no unit.
DEFAULT_GATES = {"relative_error": 0.9, "relative_bias": 0.2}
# Fields of the spec that mean nothing to this task.
UNUSED = (
    "training.canaries",
    "training.ngrams",
    "data.classes",
    "training.label_smoothing",
    "training.calibrate",
    "evaluation.calibration_bins",
)
# Fields of [training.augment] that do not suit this task, and why; "" is all of them.
NOT_AUGMENTED = {"mixup": "the number of a mixture of two items is not known"}
