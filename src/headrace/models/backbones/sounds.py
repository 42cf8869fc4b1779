"""A pretrained encoder of sounds, Whisper's: the mean of its vectors, of length 1.

A. Radford et al., Robust Speech Recognition via Large-Scale Weak Supervision, 2022. It
takes 30 seconds, whatever a clip has, so it costs far more than `audio_cnn`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from headrace.errors import SpecError
from headrace.models.backbones.training import choose
from headrace.records import DataDescription


def rate_of(folder: Path) -> int:
    """The samples a second that a backbone in a folder hears; 0 if it hears none."""
    file = folder / "audio_converter.json"
    if not file.is_file():
        return 0
    config = json.loads(file.read_text(encoding="utf-8"))["config"]
    return int(config.get("sampling_rate", 0))


def build(data: DataDescription, preset: str, train: str) -> tuple[Any, Any]:
    """Log-mel features, and the mean over the vectors that hear the clip.

    Args:
        data: sounds at the sample rate of the backbone; the rest of a clip longer than
            it takes is not heard.
        preset: the backbone's folder.
        train: what is trained, see `choose`; the decoder is not part of it.

    Returns:
        (preprocessing, body): from samples to float32 ``(batch, frames, bands)``, and
        from there to ``(batch, width)``.

    Raises:
        SpecError: the sample rate is another, or the backbone is no Whisper.
    """
    import keras
    import keras_hub

    backbone = keras_hub.models.Backbone.from_preset(preset)
    if not isinstance(backbone, keras_hub.models.WhisperBackbone):
        raise SpecError(
            f"The backbone {preset} is a {type(backbone).__name__}, and sounds are "
            "heard by a Whisper.",
            'Name one, or use builder = "audio_cnn".',
        )
    converter = keras_hub.layers.AudioConverter.from_preset(preset)
    rate = converter.sampling_rate
    if data.sample_rate_hz != rate:
        raise SpecError(
            f"The backbone hears {rate:,} samples a second, and the sounds have "
            f"{data.sample_rate_hz:,}.",
            f"Set data.sample_rate_hz = {rate}.",
        )
    samples = keras.Input(data.shape, name="samples")
    features = converter(samples)
    shape = converter.num_samples // converter.stride, converter.num_mels
    features = keras.ops.reshape(features, (-1, *shape))
    preprocessing = keras.Model(samples, features, name="preprocessing")

    heard = backbone.output["encoder_sequence_output"]
    encoder = keras.Model(backbone.input["encoder_features"], heard)
    blocks = [[one] for one in encoder.layers if hasattr(one, "intermediate_dim")]
    choose(train, blocks, encoder)
    taken = keras.Input(shape)
    vectors = encoder(taken)
    # A vector is of two frames; those after the clip's end hear nothing.
    count = math.ceil(data.shape[0] / (2 * converter.stride))
    mean = keras.layers.GlobalAveragePooling1D()(vectors[:, :count])
    vector = keras.layers.UnitNormalization()(mean)
    return preprocessing, keras.Model(taken, vector, name="pretrained")
