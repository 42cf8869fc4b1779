"""Transcription: a sequence of words or characters is learned of each item.

A network gives probabilities for each step of time. It is trained with connectionist
temporal classification (CTC), which needs no alignment of the transcript.
"""

SCORE = "word_error_rate"
HIGHER_IS_BETTER = False
HEADLINE = "test_word_error_rate"
# The metrics that are proportional to the mean score of a test split, and that mean.
MEAN_SCORES = {"test_word_error_rate": "test_word_error_rate"}
# What the family of a model must give: a vector for each step of time.
TAKES = "sequence"
# An item that is longer than a model's shape is answered in parts.
JOINS_PARTS = True
# Facts on targets that only pad them: models are compared though these differ.
PADDING = ("longest",)
# The family of models of a medium, where a pipeline names none.
LABELS_ARE_TEXTS = True
BUILDERS = {"audio": "ctc_crnn"}
# Metrics that `headrace compare` shows, and their short names.
SHOWN = {
    "test_word_error_rate": "word errors",
    "test_character_error_rate": "character errors",
    "test_right_transcripts": "all right",
}
# Pictures of a test split, and their captions.
PICTURES = {
    "edits": "The words with the most errors: replaced, left out and added.",
}
MISTAKES = "Worst transcripts"

GATES = {
    "word_error": {"metric": "test_word_error_rate", "direction": "max"},
    "character_error": {"metric": "test_character_error_rate", "direction": "max"},
}
# Where a pipeline file names no gates; each with the bound that it has there.
DEFAULT_GATES = {"word_error": 0.5, "character_error": 0.5}
# Fields of the spec that mean nothing to this task.
UNUSED = (
    "training.canaries",
    "training.ngrams",
    "data.classes",
    "training.label_smoothing",
    "evaluation.calibration_bins",
)
# Fields of [training.augment] that do not suit this task, and why; "" is all of them.
NOT_AUGMENTED = {
    "": "it could take away words that are in the transcript; ctc_crnn changes speech "
    "so that it does not, by model.arguments.augment"
}
