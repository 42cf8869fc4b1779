"""A pretrained encoder of sounds hears the clip, and nothing after it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from tests.extras import needs_keras_hub

from headrace.errors import SpecError
from headrace.models import build
from headrace.models.backbones.training import EACH, LAST, LORA
from headrace.records import DataDescription

pytestmark = [pytest.mark.system, needs_keras_hub]

DATA = DataDescription(
    medium="audio", shape=(16_000,), sample_rate_hz=16_000, classes=("a", "b")
)
CLIPS = np.random.default_rng(3).normal(0, 0.1, (3, 16_000)).astype(np.float32)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    """The folder of a small one with random weights, which takes two seconds."""
    import keras_hub

    folder = tmp_path_factory.mktemp("whisper")
    backbone = keras_hub.models.WhisperBackbone(
        vocabulary_size=20,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_encoder_sequence_length=200,
        max_decoder_sequence_length=8,
    )
    backbone.save_to_preset(str(folder))
    converter = keras_hub.layers.WhisperAudioConverter(max_audio_length=2)
    converter.save_to_preset(str(folder))
    return folder


def parts_of(folder, data=DATA, **arguments):
    return build("pretrained", data, {"preset": str(folder), **arguments})


def test_vectors_are_the_mean_over_the_clip(whisper):
    import keras
    import keras_hub

    backbone = keras_hub.models.Backbone.from_preset(str(whisper))
    converter = keras_hub.layers.AudioConverter.from_preset(str(whisper))
    ids = keras.ops.zeros((3, 1), "int32")
    heard = backbone(
        {
            "encoder_features": converter(CLIPS),
            "decoder_token_ids": ids,
            "decoder_padding_mask": ids,
        }
    )["encoder_sequence_output"]
    assert heard.shape == (3, 100, 16)
    expected = np.asarray(heard)[:, :50].mean(axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    preprocessing, network = parts_of(whisper)
    (last,) = (one for one in network.layers if "unit" in one.name)
    body = keras.Model(network.inputs, last.output)
    np.testing.assert_allclose(body(preprocessing(CLIPS)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("train", "rates"),
    [
        ("head", set()),
        ("last:1", {LAST}),
        ("all", {LAST, LAST * EACH, LAST * EACH**2}),
        ("lora:2", {LORA}),
    ],
)
def test_what_learns_and_how_fast(whisper, train, rates):
    _, network = parts_of(whisper, train=train)
    learning = network.trainable_variables
    found = {getattr(one, "rate", 0) for one in learning} - {0}
    assert found == rates
    assert not any("decoder" in one.path for one in network.variables)


@pytest.mark.parametrize(
    ("rate", "message"),
    [(8_000, "hears 16,000 samples a second, and the sounds have 8,000")],
)
def test_sounds_of_another_rate_are_refused(whisper, rate, message):
    data = DATA.model_copy(update={"sample_rate_hz": rate})
    with pytest.raises(SpecError, match=message) as refused:
        parts_of(whisper, data)
    assert "data.sample_rate_hz = 16000" in str(refused.value)


def test_a_backbone_for_texts_hears_nothing(small_bert):
    with pytest.raises(SpecError, match="BertBackbone, and sounds are heard by"):
        parts_of(small_bert)


LOAD = """
import keras
import numpy as np
model = keras.saving.load_model("model.keras", safe_mode=True, compile=False)
np.save("answers.npy", model.predict(np.load("clips.npy"), verbose=0))
"""


def test_a_saved_model_loads_in_safe_mode_in_a_process_of_its_own(whisper, tmp_path):
    from headrace.models import compose

    model = compose(DATA, *parts_of(whisper))
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "clips.npy", CLIPS)
    subprocess.run(
        [sys.executable, "-c", LOAD], cwd=tmp_path, env=os.environ, check=True
    )
    answers = np.load(tmp_path / "answers.npy")
    np.testing.assert_allclose(answers, model.predict(CLIPS, verbose=0), atol=1e-6)
