"""A recogniser that hears which text a recording says, and who says it.

It judges the answers of a model. So it learns from the real recordings of the train
split alone, and stays as it is for all models of a data set: its file is kept in the
store under the digest of what it depends on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.imports.backend import compiled
from headrace.records import DataDescription

# What its file depends on, beside the data.
RECIPE: dict[str, Any] = {
    "version": 1,
    "filters": [24, 48, 64],
    "dropout": 0.25,
    "augment": 1.0,
    "batch_size": 32,
    "steps": 1_000,
    "most_epochs": 60,
    "learning_rate": 0.002,
    "weight_decay": 0.02,
    "seed": 1,
}
_ROWS = 256  # computed together
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass
class Recogniser:
    """Hears texts and speakers; remembers what it has heard.

    It can be sent to another process, which needs no Keras for sounds that are known.

    Attributes:
        file: a Keras file: sounds to the probabilities of texts, then of speakers.
        data: of the recordings.
    """

    file: bytes
    data: DataDescription
    _pairs: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    _model: Any = None

    def hear(self, sounds: Floats) -> Indices:
        """The likeliest text and speaker of each sound.

        Args:
            sounds: float32 ``(n, samples)``.

        Returns:
            indices of the data's texts and speakers, int64 ``(n, 2)``.
        """
        names = [hashlib.sha256(row.tobytes()).digest() for row in sounds]
        new = [row for row, name in enumerate(names) if name not in self._pairs]
        for first in range(0, len(new), _ROWS):
            rows = new[first : first + _ROWS]
            for row, pair in zip(rows, self._heard(sounds[rows]), strict=True):
                self._pairs[names[row]] = pair
        return np.array([self._pairs[name] for name in names], np.int64).reshape(-1, 2)

    def _heard(self, sounds: Floats) -> list[tuple[int, int]]:
        import keras

        if self._model is None:
            with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
                path = Path(folder, "recogniser.keras")
                path.write_bytes(self.file)
                self._model = keras.saving.load_model(path, safe_mode=True)
        probabilities = compiled(self._model)(np.nan_to_num(sounds))
        both = np.split(probabilities, [len(self.data.texts)], axis=1)
        return list(zip(*(part.argmax(axis=1).tolist() for part in both), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        """Without the loaded model."""
        return {**self.__dict__, "_model": None}


def recipe_digest(items: bytes, targets: Indices, data: DataDescription) -> str:
    """The digest of what a recogniser depends on.

    Args:
        items: the sha256 of each recording, joined.
        targets: of each, the text and the speaker, ``(n, 2)``.
        data: of the recordings.
    """
    import keras

    facts = {**RECIPE, "keras": keras.__version__, "data": data.model_dump_json()}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(items)
    digest.update(np.ascontiguousarray(targets, "<i8").tobytes())
    return digest.hexdigest()


def train_recogniser(
    sounds: Floats, targets: Indices, data: DataDescription
) -> Recogniser:
    """Fit a recogniser; the same recordings give the same one on one machine.

    Args:
        sounds: float32 ``(n, samples)``.
        targets: the text and the speaker of each, ``(n, 2)``.
        data: of the recordings.
    """
    import keras

    from headrace.media.audio.features import preprocessing

    keras.utils.set_random_seed(RECIPE["seed"])
    prepare = preprocessing(data)
    parts = [
        np.asarray(prepare(sounds[first : first + _ROWS], training=False))
        for first in range(0, len(sounds), _ROWS)
    ]
    network = _network(prepare.output_shape[1:], data)
    batch, rows = min(RECIPE["batch_size"], len(sounds)), len(sounds)
    epochs = min(RECIPE["most_epochs"], max(1, RECIPE["steps"] * batch // rows))
    steps = epochs * -(-rows // batch)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, steps - steps // 20),
        warmup_target=RECIPE["learning_rate"],
        warmup_steps=max(1, steps // 20),
    )
    decay = RECIPE["weight_decay"]
    network.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=decay),
        loss=["sparse_categorical_crossentropy"] * 2,
    )
    wanted: Sequence[Indices] = [targets[:, 0], targets[:, 1]]
    features = np.concatenate(parts)
    network.fit(features, wanted, batch_size=batch, epochs=epochs, verbose=0)
    raw = keras.Input((data.shape[0],), name="sounds")
    both = keras.ops.concatenate(network(prepare(raw)), axis=1)
    model = keras.Model(raw, both, name="recogniser")
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        path = Path(folder, "recogniser.keras")
        model.save(path)
        return Recogniser(path.read_bytes(), data)


def _network(shape: tuple[int, int], data: DataDescription) -> Any:
    """Convolutions over log-mel features, with a softmax for texts and for speakers."""
    import keras

    from headrace.media.audio.features import spec_augment

    layers = keras.layers
    features = keras.Input(shape, name="features")
    layer = keras.ops.expand_dims(spec_augment(features, RECIPE["augment"]), -1)
    for number, filters in enumerate(RECIPE["filters"]):
        size, stride = (3, 1) if number else (5, 2)
        layer = layers.Conv2D(filters, size, stride, "same", use_bias=False)(layer)
        layer = layers.BatchNormalization(momentum=0.9)(layer)
        layer = layers.ReLU()(layer)
        if number and min(layer.shape[1:3]) >= 2:
            layer = layers.MaxPooling2D(2)(layer)
    _, frames, bands, channels = layer.shape
    layer = layers.Reshape((frames, bands * channels))(layer)
    pooled = [keras.ops.mean(layer, axis=1), keras.ops.max(layer, axis=1)]
    layer = layers.Dropout(RECIPE["dropout"])(keras.ops.concatenate(pooled, axis=-1))
    sizes = {"text": len(data.texts), "speaker": len(data.speakers)}
    heads = [layers.Dense(n, "softmax", name=name)(layer) for name, n in sizes.items()]
    return keras.Model(features, heads, name="recogniser")
