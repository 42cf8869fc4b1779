"""A variational autoencoder of spoken texts: text, speaker and noise to a spectrum.

Each character is expanded into a few states, as in a hidden Markov model of speech.
States have durations, which are scaled to the length of the recording, so that no
aligner is needed. Frames are mixtures of states, by Gaussian upsampling (J. Donahue and
others, "End-to-end adversarial text-to-speech", ICLR 2021). Gated dilated convolutions
give the spectrum (A. van den Oord and others, "WaveNet", 2016). The noise stands for
what text and speaker do not determine; in training, an encoder finds it in the
recording (K. Sohn, H. Lee and X. Yan, "Learning structured output representation using
deep conditional generative models", NIPS 2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.media.audio.spectra import Framing
from headrace.records import DataDescription
from headrace.tasks.synthesis.questions import NOISE, Layout

MEDIUM = "audio"
YIELDS = "wave"
RECIPE = {
    "epochs": 36,
    "batch_size": 32,
    "optimizer": "adamw",
    "learning_rate": 0.003,
    "schedule": "cosine",
    "weight_decay": 0.0001,
}
LEAST_STEPS = 2_000
FRAMES_PER_STEP = 2
STATES = 12  # of a text of one character; longer texts have fewer for each
LEAST_STATES = 3
EMBEDDING = 32  # of a speaker, and of each state of a character
QUIETEST = 2e-4  # added to magnitudes before their logarithm: 50 dB below a vowel
MARGIN = 4  # frames after the end that are learned, too
_DURATION = 0.05  # the weight of the error of the length
_DECIBELS = 20 / math.log(10)
_FAR = 1e4  # of a state that a text does not have


def build(
    data: DataDescription,
    width: int = 96,
    dilations: Sequence[int] = (1, 2, 4, 8),
    magnitude: float = 10.0,
    logarithm: float = 0.3,
    divergence: float = 0.0001,
) -> tuple[Any, Any]:
    """The network of the training; its layer ``voice`` is what answers.

    Args:
        data: shape ``(samples,)``, sample rate, and the facts on texts and speakers.
        width: of the layers.
        dilations: of each convolution, in steps of two frames.
        magnitude: the weight of the absolute error of magnitudes.
        logarithm: the weight of that of their logarithms.
        divergence: the weight of the divergence of the noise that the encoder finds
            from normal noise. Less makes takes differ more.

    Returns:
        (preprocessing, network). The network takes a question joined with the frames of
        its recording, and gives its loss and the log-spectral distance in decibels,
        ``(batch, 2)``. Its layer ``voice`` takes a question, and gives frames
        ``(batch, frames, bins)`` and the length in seconds that it would choose itself,
        ``(batch, 1)``.

    Raises:
        ValueError: sounds are shorter than a window.
    """
    import keras
    from keras import ops

    framing, layout = Framing.of(data), Layout.of(data)
    usual = prior(data)
    speak = voice(data, framing, usual, width, tuple(dilations))
    size = framing.frames * framing.bins
    example = keras.Input((layout.size + size,), name="example")
    question, flat = example[:, : layout.size], example[:, layout.size :]
    frames = keras.layers.Reshape((framing.frames, framing.bins))(flat)
    mean, spread = usual(question)
    posterior_mean, log_spread = encoded(frames, question, data)
    normal = keras.layers.GaussianNoise(1.0)(ops.zeros_like(posterior_mean))
    offset, scale = (posterior_mean - mean) / spread, ops.exp(log_spread) / spread
    noise = offset + scale * normal
    before, after = question[:, : layout.noise.start], question[:, layout.noise.stop :]
    spoken, seconds = speak(ops.concatenate([before, noise, after], axis=1))
    wanted = question[:, layout.seconds : layout.seconds + 1]
    shown = _until(wanted / framing.frame_seconds + MARGIN, framing.frames)
    errors = ops.abs(spoken - frames)
    ratios = ops.abs(ops.log(spoken + QUIETEST) - ops.log(frames + QUIETEST))
    surplus = ops.square(offset) + ops.square(scale) - 2 * ops.log(scale) - 1.0
    late = ops.abs(ops.log(seconds + 0.01) - ops.log(wanted + 0.01))
    terms = [
        magnitude * ops.mean(shown * errors, axis=(1, 2)),
        logarithm * ops.mean(shown * ratios, axis=(1, 2)),
        divergence / 2 * ops.sum(surplus, axis=1),
        _DURATION * late[:, 0],
    ]
    squares = ops.mean(shown * ops.square(ratios), axis=(1, 2))
    distance = ops.sqrt(squares + 1e-9) * _DECIBELS
    outputs = ops.stack([sum(terms), distance], axis=1)
    network = keras.Model(example, outputs, name="speech_vae")
    asked = keras.Input((layout.size,), name="question")
    return keras.Model(asked, keras.layers.Identity()(asked)), network


def prior(data: DataDescription) -> Any:
    """The model from a question to the usual latent vector, and how far others are.

    Both are ``(batch, NOISE)``. A latent vector is the first, plus the second times the
    noise of the question.
    """
    import keras
    from keras import ops

    question = keras.Input((Layout.of(data).size,), name="question")
    text, speaker = one_hot(question, data)
    layer = ops.concatenate([layers_of_text(text), speaker], axis=1)
    layer = keras.layers.Dense(96, activation="relu")(layer)
    layer = keras.layers.Dense(2 * NOISE, kernel_initializer="zeros")(layer)
    spread = ops.exp(ops.clip(layer[:, NOISE:], -3.0, 1.0))
    return keras.Model(question, [layer[:, :NOISE], spread], name="prior")


def layers_of_text(text: Any) -> Any:
    """Characters ``(batch, longest, n)`` as one vector, by a weight at each place."""
    import keras

    flat = keras.layers.Reshape((text.shape[1] * text.shape[2],))(text)
    return keras.layers.Dense(64, activation="relu")(flat)


def encoded(frames: Any, question: Any, data: DataDescription) -> tuple[Any, Any]:
    """The latent vector of a recording, and the logarithm of its uncertainty."""
    import keras
    from keras import ops

    layers = keras.layers
    steps = frames.shape[1] // FRAMES_PER_STEP
    level = ops.log(frames + QUIETEST) - np.log(QUIETEST).astype(np.float32)
    layer = layers.Reshape((steps, -1))(level)
    layer = layers.Dense(64)(layer)
    for _ in range(2):
        layer = layers.Conv1D(64, 3, 2, "same", activation="relu")(layer)
    pooled = [ops.mean(layer, axis=1), ops.max(layer, axis=1)]
    text, speaker = one_hot(question, data)
    given = [*pooled, layers_of_text(text), speaker]
    layer = layers.Dense(64, activation="relu")(ops.concatenate(given, axis=1))
    layer = layers.Dense(2 * NOISE)(layer)
    return layer[:, :NOISE], ops.clip(layer[:, NOISE:], -4.0, 2.0)


def one_hot(question: Any, data: DataDescription) -> tuple[Any, Any]:
    """The characters ``(batch, longest, characters)``, the speaker ``(batch, n)``."""
    from keras import ops

    layout = Layout.of(data)
    letters = np.array([ord(letter) for letter in data.characters], np.float32)
    points = ops.expand_dims(question[:, layout.text], 2)
    speaker = question[:, layout.speaker : layout.speaker + 1]
    speakers = np.arange(len(data.speakers), dtype=np.float32)
    text = ops.cast(ops.equal(points, letters), "float32")
    return text, ops.cast(ops.equal(speaker, speakers), "float32")


def voice(
    data: DataDescription,
    framing: Framing,
    usual: Any,
    width: int,
    dilations: Sequence[int],
) -> Any:
    """The model from a question to frames, and to the length that it would choose.

    Args:
        data: of the recordings.
        framing: of them.
        usual: the model `prior`.
        width: of the layers.
        dilations: of each convolution.
    """
    import keras
    from keras import ops

    layers, layout = keras.layers, Layout.of(data)
    steps = framing.frames // FRAMES_PER_STEP
    step_seconds = framing.frame_seconds * FRAMES_PER_STEP
    states = max(LEAST_STATES, STATES // data.longest)
    count = states * data.longest
    question = keras.Input((layout.size,), name="question")
    text, speaker = one_hot(question, data)
    speaker = layers.Dense(EMBEDDING, use_bias=False, name="speaker")(speaker)
    mean, spread = usual(question)
    latent = mean + spread * question[:, layout.noise]
    given = ops.concatenate([speaker, latent], axis=1)
    has = ops.expand_dims(ops.repeat(ops.max(text, axis=2), states, axis=1), 2)
    layer = layers.Dense(states * EMBEDDING, use_bias=False, name="characters")(text)
    layer = layers.Reshape((count, EMBEDDING))(layer)
    spread = ops.repeat(ops.expand_dims(given, 1), count, axis=1)
    layer = ops.concatenate([layer, spread], axis=2)
    layer = layers.Dense(width, activation="relu")(layer) * has
    for _ in range(2):
        layer = layers.Conv1D(width, 3, padding="same", activation="relu")(layer) * has
    shares = layers.Dense(1, activation="softplus", bias_initializer="ones")(layer)
    shares = (shares * has)[:, :, 0]
    own = ops.sum(shares, axis=1, keepdims=True)
    wanted = question[:, layout.seconds : layout.seconds + 1] / step_seconds
    total = ops.minimum(ops.where(wanted > 0, wanted, own), float(steps))
    durations = shares * total / ops.maximum(own, 1e-3)
    layer = upsampled(layers.Dense(width)(layer), durations, has[:, :, 0], steps)
    places = np.arange(steps, dtype=np.float32) + 0.5
    edges = [ops.clip((total - places) / 4, -1.0, 1.0), 0 * total + places.clip(0, 4)]
    layer = layer + layers.Dense(width)(ops.stack(edges, axis=2))
    for dilation in dilations:
        both = layers.Conv1D(2 * width, 3, padding="same", dilation_rate=dilation)(
            layer
        )
        both = both + ops.expand_dims(layers.Dense(2 * width)(given), 1)
        gate = ops.sigmoid(both[:, :, width:])
        layer = layer + ops.tanh(both[:, :, :width]) * gate
    layer = layers.Dense(2 * width, activation="relu")(layer)
    quiet = keras.initializers.Constant(-5.0)
    size = FRAMES_PER_STEP * framing.bins
    layer = layers.Dense(size, activation="softplus", bias_initializer=quiet)(layer)
    frames = layers.Reshape((framing.frames, framing.bins))(layer)
    return keras.Model(question, [frames, own * step_seconds], name="voice")


def upsampled(states: Any, durations: Any, has: Any, steps: int) -> Any:
    """States ``(batch, n, width)`` as steps in time ``(batch, steps, width)``.

    A step is a mixture of states, by a normal density around the middle of each.

    Args:
        states: of the text.
        durations: of each state in steps, ``(batch, n)``.
        has: 0 for states that the text does not have, else 1, ``(batch, n)``.
        steps: their number.
    """
    from keras import ops

    middles = ops.cumsum(durations, axis=1) - durations / 2
    spreads = ops.maximum(durations / 2, 0.3)
    places = (np.arange(steps, dtype=np.float32) + 0.5)[np.newaxis, :, np.newaxis]
    off = (ops.expand_dims(middles, 1) - places) / ops.expand_dims(spreads, 1)
    missing = ops.expand_dims(1.0 - has, 1)
    weights = ops.softmax(-ops.square(off) / 2 - _FAR * missing, axis=-1)
    return ops.matmul(weights, states)


def _until(length: Any, count: int) -> Any:
    """The weights of frames ``(batch, frames, 1)``: 0 after a length, mean 1."""
    from keras import ops

    places = np.arange(count, dtype=np.float32)
    inside = ops.cast(ops.less(places, length), "float32")
    share = ops.maximum(ops.mean(inside, axis=1, keepdims=True), 1.0 / count)
    return ops.expand_dims(inside / share, 2)
