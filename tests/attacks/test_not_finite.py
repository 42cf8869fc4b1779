"""A challenger without an answer to some pictures, where the champion has one."""

import numpy as np
import pytest
from tests.homes import Home

FILE = """
description = "How bright an 8 x 8 image is"
medium = "image"
task = "regression"
data.source = "light.npz"
model = {{ builder = "model:build", arguments.spoiled = {spoiled} }}
training = {{ epochs = {epochs}, batch_size = 16, learning_rate = 0.001, seed = 1 }}
evaluation = {{ depth = "quick" }}
gates = [{{ name = "champion" }}]
"""
# Where no light is left, it divided by itself is NaN.
MODEL = """
import keras
from keras import ops

from headrace.media import preprocessing


def build(data, spoiled=False):
    pixels = keras.Input(data.shape)
    body = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(pixels))
    if spoiled:
        light = ops.relu(ops.mean(pixels, axis=(1, 2)) - 0.1)
        body = body * (light / light)
    return preprocessing(data), keras.Model(pixels, keras.layers.Dense(1)(body))
"""
ROWS, TEST, DARK = 300, 80, 8


def write(folder, *, spoiled, epochs):
    """A pipeline and its data, the last pictures of which are dark."""
    chance = np.random.default_rng(0)
    size = chance.integers(60, 200, ROWS)
    size[-DARK:] = 15
    images = (size[:, None, None] * chance.uniform(0.8, 1, (ROWS, 8, 8))).astype(
        "uint8"
    )
    bright, train = images.mean(axis=(1, 2)) / 100, ROWS - TEST
    arrays = {"x_train": images[:train], "y_train": bright[:train]}
    arrays |= {"x_test": images[train:], "y_test": bright[train:]}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "light.npz", **arrays)
    (folder / "model.py").write_text(MODEL)
    text = FILE.format(spoiled=str(spoiled).lower(), epochs=epochs)
    (folder / "pipeline.toml").write_text(text)


@pytest.fixture
def home(tmp_path, mlflow_database, prefect_server):
    made = Home(tmp_path / "home", tmp_path)
    made.path.mkdir()
    (made.path / "mlflow.db").write_bytes(mlflow_database.read_bytes())
    return made


def test_it_is_not_promoted_and_has_no_mean_score(home):
    folder = home.project / "pipelines" / "light"
    write(folder, spoiled=False, epochs=1)
    first = home.headrace("run", "light", "--json")
    assert first.json["status"] == "promoted", first.err
    write(folder, spoiled=True, epochs=60)
    second = home.headrace("run", "light", "--json")
    assert second.exit_code == 0, second.err
    assert second.json["status"] == "registered", second.json["reason"]
    (judged,) = [g for g in second.json["gates"] if g["name"] == "champion"]
    assert not judged["passed"]
    assert judged["reason"].startswith("no finite score for its answers to")
    assert judged["p_value"] < 0.01  # it is far better on all others
    champion = home.headrace("history", "light", "--json").json["history"]
    assert [entry["to"] for entry in champion] == [1]
    assert home.headrace("verify", "--json").json["status"] == "ok"

    data = ("pipelines/light/light.npz", "out.csv", "--json")
    scored = home.headrace("score", "light/2", *data)
    assert scored.exit_code == 0, scored.err
    assert "absolute_error" not in scored.json
    assert "answers to labelled rows are not finite" in scored.err
