"""Generation: a language model of texts, character by character.

A row is a document: begin, text, end. Nothing is known from other rows. The saved model
takes code points, int32 ``(n, characters)`` padded with zeros, and answers with float32
``(n, 2)``: the negative log probability in nats of each document with its end, and the
number of its characters, the end included. So its score is nats per character, and a
text has one probability however it is written.

Inside the saved model there is a model called ``next``: from ids ``(batch, length)``
and states to logits ``(batch, length, ids)`` and states. It writes texts.
"""

SCORE = "nats_per_character"
HIGHER_IS_BETTER = False
ASKS = True  # about texts as code points
HEADLINE = "test_nats_per_character"
# The metrics that are proportional to the mean score of a test split, and that mean.
MEAN_SCORES = {
    "test_nats_per_character": "test_nats_per_character",
    "test_bits_per_character": "test_nats_per_character",
    "test_bits_per_byte": "test_nats_per_character",
}
# Metrics that `headrace compare` shows, and their short names.
SHOWN = {
    "test_nats_per_character": "nats",
    "test_bits_per_byte": "bits per byte",
    "baseline_difference": "to the baseline",
    "verbatim_ratio": "verbatim",
}
# Pictures of a test split, and their captions.
PICTURES = {
    "documents": "Nats per character of each test document, and of the n-gram model.",
    "verbatim": "The longest run of each text that is verbatim in train: of generated "
    "texts, and of test documents cut to the same greatest length.",
}
MISTAKES = "Documents that surprised the model most"
TAKES = "next"
BUILDERS = {"text": "gru_lm"}
LABELLED = False  # a document needs no label
WRITES = True

GATES = {
    "nats": {"metric": "test_nats_per_character", "direction": "max"},
    "baseline": {
        "metric": "baseline_difference_high",
        "direction": "max",
        "threshold": 0.0,
    },
    "memorisation": {
        "metric": "verbatim_ratio",
        "direction": "max",
        "threshold": 2.0,
    },
    "canaries": {
        "metric": "canary_exposure_share",
        "direction": "max",
        "threshold": 0.5,
    },
    "repetition": {
        "metric": "repetition_excess",
        "direction": "max",
        "threshold": 0.1,
    },
}
# Of the champion's gate in new pipeline files. Rows are documents of many characters:
# models of two seeds, whose nats differ by up to 0.8 %, differ significantly.
GAIN = 0.01
# Where a pipeline file names no gates.
DEFAULT_GATES = {"baseline": 0.0, "memorisation": 2.0, "repetition": 0.1}
# What to give as data, for messages.
SOURCES = (
    "Give one text, a folder (or zip or tar) of .txt files, or a table with a column "
    "of texts (CSV, TSV, JSON lines or Parquet)."
)
# What an exported model takes and gives, for people.
INPUT = "code points of texts, padded with zeros at the end"
OUTPUT = "the loss of each text in nats, and its number of characters"
# Fields of the spec that mean nothing to this task.
UNUSED = (
    "data.classes",
    "training.label_smoothing",
    "training.calibrate",
    "training.precision",  # the network computes its loss
    "evaluation.calibration_bins",
)
# Fields of [training.augment] that do not suit this task, and why; "" is all of them.
NOT_AUGMENTED = {"": "a text is also what its model learns to write"}
