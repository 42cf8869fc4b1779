"""What families for sounds share: log-mel features, and how training varies them.

Both are built from Keras's own layers and operations, so that a saved model needs
nothing of ours. Knows sample rates and lengths, not what is told from them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from headrace.records import DataDescription

LOWEST_HZ = 50.0
HIGHEST_HZ = 16_000.0
BANDS_PER_MEL = 40 / 2146  # 40 bands up to 4 kHz, of telephone speech
MOST_BANDS = 64
HOP_SECONDS = 0.016
MOST_FRAMES = 200
RANGE_DB = 80.0
# Of a frame's band: a sine of -74 dB of full scale. No sound below it is amplified.
LOWEST_PEAK = 1e-4


def preprocessing(data: DataDescription) -> Any:
    """From samples to log-mel features: the 80 dB below the clip's loudest.

    A clip's gain makes no difference, and silence is 0. There are 62 frames a second,
    or fewer so that a clip has some 200 at most; bands are as wide in mel at every
    rate, up to 64 of them.

    Keras's own ``power_to_db`` is not used: it cuts below the loudest of the *batch*,
    so that what a model says of a clip would depend on the clips beside it.

    Args:
        data: shape ``(samples,)`` and sample rate.

    Returns:
        a model from samples, float32 ``(batch, samples)`` in -1..1, to float32
        ``(batch, frames, bands)`` in 0..1.

    Raises:
        ValueError: there is no sample rate, or clips are shorter than a window.
    """
    import keras

    samples, rate = data.shape[0], data.sample_rate_hz
    if rate < 1:
        raise ValueError(f"sounds need a sample rate, but sample_rate_hz is {rate}")
    seconds = max(HOP_SECONDS, samples / rate / MOST_FRAMES)
    hop, window = round(seconds * rate), round(2 * seconds * rate)
    fft_length = 2 ** math.ceil(math.log2(1.5 * window))  # narrow bands get a bin each
    if samples <= fft_length // 2:  # what is mirrored at both ends
        raise ValueError(
            f"a clip of {samples} samples at {rate:,} Hz is too short: "
            f"at least {fft_length // 2 + 1} are needed"
        )
    highest = min(rate / 2, HIGHEST_HZ)
    bands = min(MOST_BANDS, max(8, round(_mel(highest) * BANDS_PER_MEL)))
    clips = keras.Input((samples,), name="samples")
    power = keras.layers.MelSpectrogram(
        fft_length=fft_length,
        sequence_stride=hop,
        sequence_length=window,
        sampling_rate=rate,
        num_mel_bins=bands,
        min_freq=min(LOWEST_HZ, highest / 10),
        max_freq=highest,
        power_to_db=False,
    )(clips)
    # The layer counts one frame too many at some lengths; the slice has them right.
    power = power[:, :, : 1 + samples // hop]
    power = keras.ops.transpose(power, (0, 2, 1))
    loudest = keras.ops.max(power, axis=(1, 2), keepdims=True)
    loudest = keras.ops.maximum(loudest, LOWEST_PEAK)
    lowest = 10 ** (-RANGE_DB / 10)
    level = keras.ops.log10(keras.ops.maximum(power / loudest, lowest))
    return keras.Model(clips, level * (10 / RANGE_DB) + 1.0, name="log_mel")


def _mel(hertz: float) -> float:
    return 1127 * math.log1p(hertz / 700)


def varied(features: Any, strength: float) -> Any:
    """Features as another speaker or another moment might give them, in training.

    Each clip is moved and stretched in time and, as by a longer or shorter vocal
    tract, along the bands; its level and its tilt from low to high bands change, as
    with another microphone; a stretch of time and one of bands are silenced; and noise
    is added. Keras's own layers for pictures are not used: ``RandomTranslation`` and
    ``RandomZoom`` do not compile under XLA, and vary items outside training, too,
    where a model is called without ``training=False``.

    All chance is in ``GaussianNoise`` added to zero, which is zero outside training:
    there, each product below is one with the identity.

    Args:
        features: ``(batch, frames, bands)``.
        strength: 1.0 as found best for speech; 0.0 for none.

    Returns:
        features of the same shape.
    """
    import keras

    if not strength:
        return features
    frames, bands = features.shape[1:]
    zero = keras.ops.zeros_like(features[:, :1, 0])
    in_time = _warp(zero, frames, strength * 0.10, strength * 0.08)
    in_bands = _warp(zero, bands, strength * 0.06, strength * 0.03)
    given = keras.ops.matmul(in_time, features)
    given = keras.ops.matmul(given, keras.ops.transpose(in_bands, (0, 2, 1)))
    slope = np.linspace(-1, 1, bands, dtype=np.float32)
    level = _chance(zero, strength * 0.10) * slope + _chance(zero, strength * 0.10)
    sounding = keras.ops.cast(given > 0, "float32")  # silence stays silence
    given = keras.ops.relu(given + keras.ops.expand_dims(level, 1) * sounding)
    kept_frames = _kept(zero, frames, strength * 0.25)
    kept_bands = _kept(zero, bands, strength * 0.25)
    given = given * keras.ops.expand_dims(kept_frames, 2)
    given = given * keras.ops.expand_dims(kept_bands, 1)
    return keras.layers.GaussianNoise(strength * 0.03)(given)


def _chance(zero: Any, most: float) -> Any:
    """Evenly between ``-most`` and ``most`` in training, else 0: ``(batch, 1)``."""
    import keras

    normal = keras.layers.GaussianNoise(1.0)(zero)
    return keras.ops.erf(normal * math.sqrt(0.5)) * most


def _warp(zero: Any, size: int, stretch: float, shift: float) -> Any:
    """Interpolation from moved and stretched places: ``(batch, size, size)``."""
    import keras

    places = np.arange(size, dtype=np.float32)
    scale = keras.ops.exp(_chance(zero, stretch))
    source = scale * (places - size / 2) + (size / 2 + _chance(zero, shift) * size)
    apart = keras.ops.abs(keras.ops.expand_dims(source, 2) - places)
    return keras.ops.relu(1.0 - apart)


def _kept(zero: Any, size: int, widest: float) -> Any:
    """0 within a random stretch, else 1: ``(batch, size)``."""
    import keras

    places = np.arange(size, dtype=np.float32)
    middle = _chance(zero, size / 2) + size / 2
    reach = keras.ops.abs(_chance(zero, widest * size))
    return keras.ops.cast(keras.ops.abs(middle - places) >= reach, "float32")
