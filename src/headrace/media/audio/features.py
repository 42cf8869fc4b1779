"""Log-mel features of sounds, and their augmentation in training.

Both consist of Keras's own layers and operations, so that a saved model needs no code
of ours.
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
# The power of a sine of -74 dB of full scale. Quieter clips are not amplified.
LOWEST_PEAK = 1e-4
# Of `augment_speech`: logarithms of the greatest change of the tempo and of the length
# of the vocal tract, and spans of masked frames.
SPEED, VOCAL_TRACT = 0.12, 0.10
FRAME_MASKS, MASKED_FRAMES = 2, 8


def preprocessing(data: DataDescription, most_frames: int = MOST_FRAMES) -> Any:
    """A model from samples to log-mel features: the top 80 dB of each clip.

    The features do not depend on a clip's gain; silence is 0. A clip has 62 frames a
    second, and about ``most_frames`` at most. Bands are equally wide in mel at every
    sample rate, and 64 at most.

    Keras's own ``power_to_db`` is not used: it cuts below the loudest of the *batch*,
    so that a prediction would depend on the other clips of the batch.

    Returns:
        a model from float32 ``(batch, samples)`` in -1..1 to float32 ``(batch, frames,
        bands)`` in 0..1.

    Raises:
        ValueError: there is no sample rate, or clips are shorter than a window.
    """
    import keras

    samples, rate = data.shape[0], data.sample_rate_hz
    if rate < 1:
        raise ValueError(f"sounds need a sample rate, but sample_rate_hz is {rate}")
    seconds = max(HOP_SECONDS, samples / rate / most_frames)
    hop, window = round(seconds * rate), round(2 * seconds * rate)
    fft_length = 2 ** math.ceil(math.log2(1.5 * window))  # narrow bands get a bin each
    if samples <= fft_length // 2:  # the layer mirrors so many at both ends
        raise ValueError(
            f"a clip of {samples} samples at {rate:,} Hz is too short: "
            f"at least {fft_length // 2 + 1} are needed"
        )
    highest = min(rate / 2, HIGHEST_HZ)
    bands = min(MOST_BANDS, max(8, round(mel(highest) * BANDS_PER_MEL)))
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
    # At some lengths the layer gives one frame too many.
    power = power[:, :, : 1 + samples // hop]
    power = keras.ops.transpose(power, (0, 2, 1))
    loudest = keras.ops.max(power, axis=(1, 2), keepdims=True)
    loudest = keras.ops.maximum(loudest, LOWEST_PEAK)
    lowest = 10 ** (-RANGE_DB / 10)
    level = keras.ops.log10(keras.ops.maximum(power / loudest, lowest))
    return keras.Model(clips, level * (10 / RANGE_DB) + 1.0, name="log_mel")


def mel(hertz: float) -> float:
    """A frequency on the mel scale."""
    return 1127 * math.log1p(hertz / 700)


def spec_augment(features: Any, strength: float) -> Any:
    """Augment features in training, as SpecAugment does.

    Each clip is shifted and stretched in time and, as by another vocal tract, along the
    bands. Its level and its spectral tilt change, as with another microphone. One time
    span and one span of bands are masked, and noise is added. Keras's layers for
    pictures are not used: ``RandomTranslation`` and ``RandomZoom`` do not compile under
    XLA, and also change items outside training where a model is called without
    ``training=False``.

    All randomness comes from ``GaussianNoise`` added to zero. Outside training that is
    zero, and each product below is the identity.

    Args:
        features: ``(batch, frames, bands)``.
        strength: 1.0 was the best for speech; 0.0 turns augmentation off.

    Returns:
        features of the same shape.
    """
    import keras

    if not strength:
        return features
    frames, bands = features.shape[1:]
    zero = keras.ops.zeros_like(features[:, :1, 0])
    time_warp = _warp(zero, frames, strength * 0.10, strength * 0.08)
    band_warp = _warp(zero, bands, strength * 0.06, strength * 0.03)
    augmented = keras.ops.matmul(time_warp, features)
    augmented = keras.ops.matmul(augmented, keras.ops.transpose(band_warp, (0, 2, 1)))
    augmented = _other_levels(augmented, zero, strength)
    frame_mask = _span_mask(zero, frames, strength * 0.25)
    band_mask = _span_mask(zero, bands, strength * 0.25)
    augmented = augmented * keras.ops.expand_dims(frame_mask, 2)
    augmented = augmented * keras.ops.expand_dims(band_mask, 1)
    return keras.layers.GaussianNoise(strength * 0.03)(augmented)


def augment_speech(features: Any, strength: float) -> Any:
    """Augment features of speech in training, so that no word is lost or cut.

    As `spec_augment`, but of any number of frames: speech is slower or faster, from its
    begin on, voices are as of shorter and longer vocal tracts, and only spans that are
    shorter than a word are masked. Padding stays silent.

    Args:
        features: ``(batch, frames, bands)``; the number of frames may be unknown.
        strength: 1.0 suits speakers that were not heard in training; 0.0 turns
            augmentation off.

    Returns:
        features of the same shape.
    """
    import keras

    if not strength:
        return features
    bands = features.shape[2]
    first = features[:, :1, 0]
    zero = keras.ops.zeros_like(first)
    places = keras.ops.cumsum(keras.ops.ones_like(features[:, :, 0]), axis=1) - 1.0
    speed = keras.ops.exp(_random(zero, strength * SPEED))
    source = keras.ops.expand_dims(speed * places, 2)
    distance = keras.ops.abs(source - keras.ops.expand_dims(places, 1))
    augmented = keras.ops.matmul(keras.ops.relu(1.0 - distance), features)
    tract = _warp(zero, bands, strength * VOCAL_TRACT, strength * 0.04)
    augmented = keras.ops.matmul(augmented, keras.ops.transpose(tract, (0, 2, 1)))
    augmented = _other_levels(augmented, zero, strength)
    frames = keras.ops.max(places, axis=1, keepdims=True)
    for _ in range(FRAME_MASKS):
        middle = (_random(zero, 0.5) + 0.5) * frames
        reach = keras.ops.abs(_random(zero, strength * MASKED_FRAMES / 2))
        mask = keras.ops.cast(keras.ops.abs(middle - places) >= reach, "float32")
        augmented = augmented * keras.ops.expand_dims(mask, 2)
    band_mask = _span_mask(zero, bands, strength * 0.2)
    augmented = augmented * keras.ops.expand_dims(band_mask, 1)
    return keras.layers.GaussianNoise(strength * 0.03)(augmented)


def _random(zero: Any, limit: float) -> Any:
    """Uniform in ``-limit`` to ``limit`` in training, else 0: ``(batch, 1)``."""
    import keras

    normal = keras.layers.GaussianNoise(1.0)(zero)
    return keras.ops.erf(normal * math.sqrt(0.5)) * limit


def _other_levels(features: Any, zero: Any, strength: float) -> Any:
    """Features that are louder or quieter, more so in the high bands or in the low."""
    import keras

    slope = np.linspace(-1, 1, features.shape[2], dtype=np.float32)
    level = _random(zero, strength * 0.10) * slope + _random(zero, strength * 0.10)
    is_sound = keras.ops.cast(features > 0, "float32")  # silence stays silence
    return keras.ops.relu(features + keras.ops.expand_dims(level, 1) * is_sound)


def _warp(zero: Any, size: int, stretch: float, shift: float) -> Any:
    """Interpolation that shifts and stretches an axis: ``(batch, size, size)``."""
    import keras

    places = np.arange(size, dtype=np.float32)
    scale = keras.ops.exp(_random(zero, stretch))
    source = scale * (places - size / 2) + (size / 2 + _random(zero, shift) * size)
    distance = keras.ops.abs(keras.ops.expand_dims(source, 2) - places)
    return keras.ops.relu(1.0 - distance)


def _span_mask(zero: Any, size: int, widest: float) -> Any:
    """0 within a random span, else 1: ``(batch, size)``."""
    import keras

    places = np.arange(size, dtype=np.float32)
    middle = _random(zero, size / 2) + size / 2
    reach = keras.ops.abs(_random(zero, widest * size))
    return keras.ops.cast(keras.ops.abs(middle - places) >= reach, "float32")
