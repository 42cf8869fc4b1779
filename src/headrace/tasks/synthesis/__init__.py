"""Speech synthesis: the sound of a text in a voice.

A row is a recording, with its text as the label and its speaker as the group. A model
is asked for a text, a speaker, a variation and a length, and answers with a waveform
``(samples,)`` that is silent after its end. The texts are the ones that the data has;
longer messages are joined from them.

The score of a test row is whether a recogniser hears the text and the speaker in the
answer. The recogniser learns from real recordings of the train split alone.
"""

SCORE = "recognised"
HIGHER_IS_BETTER = True
ASKS = True  # for texts, and not about items
# Beside the loss in training, where there is no recogniser.
TRAINING_SCORE = "distance_db"
HEADLINE = "test_text_accuracy"
# The metrics that are proportional to the mean score of a test split, and that mean.
MEAN_SCORES = {"test_recognised": "test_recognised"}
# Metrics that `headrace compare` shows, and their short names.
SHOWN = {
    "test_text_accuracy": "text",
    "test_speaker_accuracy": "speaker",
    "test_diversity_db": "diversity",
}
# Pictures of a test split, and their captions.
PICTURES = {
    "pairs": "Spectrograms: real recordings of the test split above, and the model's "
    "answers for the same text and speaker below.",
    "distances": "How far takes of one text and speaker are from each other, and from "
    "the nearest recording of the train split: real ones and the model's.",
}
MISTAKES = "Answers that the recogniser does not understand"

TAKES = "wave"
SPEAKS = True
LABELS_ARE_TEXTS = True
BUILDERS = {"audio": "speech_vae"}
GATES = {
    "text": {"metric": "test_text_accuracy", "direction": "min"},
    "speaker": {"metric": "test_speaker_accuracy", "direction": "min"},
    "recogniser": {"metric": "recogniser_accuracy", "direction": "min"},
    "copies": {"metric": "test_nearest_train_db", "direction": "min"},
    "diversity": {"metric": "test_diversity_db", "direction": "min"},
    "dull": {"metric": "test_global_variance", "direction": "min"},
    "noisy": {"metric": "test_global_variance", "direction": "max"},
}
# Where a pipeline file names no gates; each with the bound that it has there.
DEFAULT_GATES = {
    "text": 0.8,
    "speaker": 0.7,
    "recogniser": 0.85,
    "copies": 3.0,
    "diversity": 2.0,
    "dull": 0.7,
    "noisy": 1.3,
}
# Fields of [data] and [training] that mean nothing to this task.
UNUSED = (
    "training.canaries",
    "training.ngrams",
    "data.classes",
    "training.label_smoothing",
    "training.calibrate",
    "training.precision",  # the network computes its loss
    "evaluation.calibration_bins",
)
# Fields of [training.augment] that do not suit this task, and why; "" is all of them.
NOT_AUGMENTED = {"": "a recording is what its model learns to say"}
