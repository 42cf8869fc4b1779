"""Registered versions of small models, one of each medium, without MLflow."""

import hashlib

import numpy as np

from headrace import models
from headrace.imports.backend import load_backend
from headrace.media import medium
from headrace.models.logged.golden import golden_bytes
from headrace.records import DataDescription
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import GOLDEN_FILE, MODEL_FILE, artifacts

CLASSES = ("sea", "hill", "city")
DESCRIPTIONS = {
    "image": DataDescription(medium="image", shape=(8, 8, 1), classes=CLASSES),
    "text": DataDescription(medium="text", shape=(40,), classes=CLASSES),
    "audio": DataDescription(
        medium="audio", shape=(2000,), sample_rate_hz=8000, classes=CLASSES
    ),
}
TEXTS = ("the sea is deep", "海水很深", "a green hill", "naïve café 🙂", "the old city")


def items(name):
    """Sixteen items of a medium in stored form."""
    rng = np.random.default_rng(0)
    if name == "image":
        return rng.integers(0, 256, (16, 8, 8, 1), np.uint8)
    if name == "audio":
        return rng.integers(-9000, 9000, (16, 2000), np.int16)
    rows = [(TEXTS[n % 5] + "!" * n).encode()[:40].ljust(40, b"\0") for n in range(10)]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 40)


def model(name, scale=1.0):
    """A model of a medium that has learned nothing.

    Its answers are the sine of ``scale`` times these, so that a float32's last digit
    counts, unless that is 1.
    """
    load_backend()
    import keras

    keras.utils.set_random_seed(0)
    data = DESCRIPTIONS[name]
    family = {"image": "mlp", "text": "text_cnn", "audio": "audio_cnn"}[name]
    arguments = {"max_tokens": 60} if name == "text" else {}
    before, network = models.build(family, data, arguments)
    if name == "text":
        before.layers[-1].adapt(list(TEXTS))
    if scale != 1:
        scaled = keras.layers.Rescaling(scale)(network.outputs[0])
        network = keras.Model(network.inputs, keras.ops.sin(scaled))
    return models.compose(data, before, network)


def encoder(preset):
    """A model of texts by way of a pretrained encoder's ids, with a random head."""
    load_backend()
    data = DESCRIPTIONS["text"]
    arguments = {"preset": str(preset), "max_tokens": 20}
    before, network = models.build("pretrained", data, arguments)
    head = network.layers[-1]
    kernel, bias = head.get_weights()
    head.set_weights([np.random.default_rng(1).normal(0, 3, kernel.shape), bias])
    return models.compose(data, before, network)


def register(settings, name, medium_name, network, described=None):
    """Write a model's two files where MLflow would, and add it to the ledger."""
    description = described or DESCRIPTIONS[medium_name]
    root = artifacts.local_path(settings.artifacts)
    assert root is not None
    logged = root / name / "models" / "m-1" / "artifacts" / MODEL_FILE
    golden = root / name / "run" / "artifacts" / GOLDEN_FILE
    for file in (logged, golden):
        file.parent.mkdir(parents=True)
    network.save(logged)
    golden.write_bytes(golden_bytes(network, items(medium_name), description))
    version = Version(
        model=name,
        version=1,
        training=name,
        run_id="run",
        model_uri="models:/m-1",
        model_digest=digest(logged),
        weights_digest="0",
        snapshot_digest="0",
        created_by="ada@lab",
        details={
            "description": description.model_dump(mode="json"),
            "golden_digest": digest(golden),
        },
    )
    return Ledger(settings.database_url).add_version(version)


def digest(path):
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def forms(name):
    """The items of a medium in each form that a model takes."""
    return medium(name).variants(items(name))


def expected(settings, version):
    """The golden outputs of a version."""
    place = artifacts.run_place(version, settings.artifacts)
    folder = artifacts.local_path(place)
    assert folder is not None
    with np.load(folder / GOLDEN_FILE) as golden:
        return golden["outputs"]
