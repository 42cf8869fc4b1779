"""Texts and speakers as facts of the data, and as targets."""

import numpy as np
import pyarrow as pa
from tests.src.tasks.synthesis.conftest import takes

from headrace.media.audio.spectra import Framing
from headrace.pipeline import DataSpec
from headrace.tasks.synthesis.data import LABELS
from headrace.tasks.synthesis.distances import profiles
from headrace.tasks.synthesis.judge import keys_of, profiles_of


def test_the_facts_are_sorted_and_json():
    spec = DataSpec(source="x.parquet")
    assert LABELS.describe(["up", "down", "up", ""], spec) == {
        "texts": ["down", "up"],
        "characters": list("dnopuw"),
        "longest": 4,
    }
    assert LABELS.describe_groups(["b", "a"], spec) == {"speakers": ["a", "b"]}
    assert LABELS.describe_groups([], spec) == {"speakers": [""]}


def test_a_target_has_the_text_the_speaker_and_the_profile(data):
    sounds, keys = takes(1)
    items = (sounds * 32767).astype(np.int16)
    labels = pa.chunked_array([[data.texts[text] for text, _ in keys]])
    groups = [data.speakers[speaker] for _, speaker in keys]
    targets = LABELS.targets(items, labels, groups, data)
    assert targets.dtype == LABELS.DTYPE
    assert targets.shape[1:] == LABELS.target_shape(data)
    assert np.array_equal(keys_of(targets), keys)
    real = profiles(items.astype(np.float32) / 32768, Framing.of(data))
    assert np.array_equal(profiles_of(targets, data), real)


def test_unknown_texts_and_speakers_have_no_index(data):
    items = np.zeros((1, 4000), np.int16)
    labels = pa.chunked_array([["left"]])
    targets = LABELS.targets(items, labels, ["nobody"], data)
    assert keys_of(targets).tolist() == [[-1, -1]]
