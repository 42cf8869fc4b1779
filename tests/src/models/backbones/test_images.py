"""A pretrained backbone for images: what it takes, how it is trained and saved."""

from __future__ import annotations

import collections
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.extras import needs_keras_hub
from tests.src.models.backbones import lite0
from tests.src.stages.fitting.conftest import InShards

from headrace.errors import SpecError
from headrace.imports.backend import layers_of
from headrace.models import build
from headrace.models.backbones.training import LAST
from headrace.models.engines import onnx
from headrace.models.engines.exporting import content
from headrace.pipeline import PipelineSpec
from headrace.records import DataDescription
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.shards import Examples

pytestmark = [pytest.mark.system, needs_keras_hub]

PHOTOS = np.random.default_rng(1).integers(0, 256, (4, 64, 70, 3), np.uint8)
DATA = DataDescription(medium="image", shape=(64, 70, 3), classes=("a", "b"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The folder of a small one that TensorFlow trained, and its weights."""
    return lite0.small_preset(tmp_path_factory.mktemp("efficientnet"))


@pytest.fixture(scope="module")
def model(small):
    """From pixels to two classes, as it is saved."""
    from headrace.models import compose

    parts = build("pretrained", DATA, {"preset": str(small[0])})
    return compose(DATA, *parts)


def body_of(folder, **arguments):
    return build("pretrained", DATA, {"preset": str(folder), **arguments})


def test_images_are_as_large_as_the_backbone_was_trained_with(small):
    large = DATA.model_copy(update={"shape": (128, 160, 3)})
    preset = str(small[0])
    for pixels, shape in ((0, (64, 80, 3)), (96, (96, 120, 3))):
        arguments = {"preset": preset, "pixels": pixels}
        preprocessing, _ = build("pretrained", large, arguments)
        assert preprocessing.output_shape == (None, *shape)
    same, _ = body_of(small[0])
    np.testing.assert_allclose(same(PHOTOS), (PHOTOS - 127.0) / 128, atol=1e-6)


def test_each_channel_has_its_own_normalisation(tmp_path):
    import keras

    folder, _ = lite0.small_preset(tmp_path)
    scale, offset = [0.017, 0.0175, 0.0174], [-2.1, -2.0, -1.8]
    path = folder / "image_converter.json"
    converter = json.loads(path.read_text())
    converter["config"] |= {"scale": scale, "offset": offset}
    path.write_text(json.dumps(converter))
    preprocessing, _ = body_of(folder)
    preprocessing.save(tmp_path / "saved.keras")
    again = keras.saving.load_model(tmp_path / "saved.keras")
    expected = PHOTOS * np.array(scale) + np.array(offset)
    for model in (preprocessing, again):
        np.testing.assert_allclose(model(PHOTOS), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((28, 28, 1), "from 64 x 64 pixels, and these have 28 x 28 in grey"),
        ((48, 80, 3), "these have 48 x 80 in colour"),
        ((80, 80, 1), "these have 80 x 80 in grey"),
    ],
)
def test_small_or_grey_images_are_refused_in_a_sentence(shape, message, tmp_path):
    data = DATA.model_copy(update={"shape": shape})
    with pytest.raises(SpecError, match=message) as refused:
        build("pretrained", data, {"preset": str(tmp_path)})
    assert "failed" not in str(refused.value)


def test_a_backbone_for_texts_takes_no_images(small_bert):
    with pytest.raises(SpecError, match="BertBackbone, which takes no images"):
        body_of(small_bert)


def test_a_backbone_without_a_normalisation_is_refused(tmp_path):
    folder, _ = lite0.small_preset(tmp_path)
    (folder / "image_converter.json").unlink()
    with pytest.raises(SpecError, match="not say how its images are normalised"):
        body_of(folder)


LOAD = """
import sys
import keras
import numpy as np
model = keras.saving.load_model("model.keras", safe_mode=True, compile=False)
np.save("answers.npy", model.predict(np.load("photos.npy"), verbose=0))
assert "keras_hub" not in sys.modules
"""


def test_a_saved_model_needs_no_keras_hub(model, tmp_path):
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "photos.npy", PHOTOS)
    subprocess.run(
        [sys.executable, "-c", LOAD], cwd=tmp_path, env=os.environ, check=True
    )
    answers = np.load(tmp_path / "answers.npy")
    np.testing.assert_allclose(answers, model(PHOTOS), atol=1e-6)


def test_an_engine_gives_the_same_answers(model, tmp_path):
    pytest.importorskip(onnx.RUNTIME, reason="extra serve")
    expected = np.asarray(model(PHOTOS))
    onnx.export(model, tmp_path)
    engine = onnx.ENGINE(content(tmp_path), (2,), 1)
    np.testing.assert_allclose(engine(PHOTOS), expected, atol=1e-5)


def test_the_converter_reads_only_what_a_file_of_tensors_may_name(tmp_path):
    file = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {}, collections.OrderedDict(), []):
        pickle.dump(part, file, 2)
    (tmp_path / "plain.pth").write_bytes(file.getvalue())
    assert lite0.read_tensors(tmp_path / "plain.pth") == {}
    (tmp_path / "hostile.pth").write_bytes(pickle.dumps(os.system, 2))
    with pytest.raises(pickle.UnpicklingError, match="system is not on the list"):
        lite0.read_tensors(tmp_path / "hostile.pth")


@pytest.mark.parametrize(
    ("train", "learn"),
    [
        ("head", set()),
        ("last:1", {"block3a", "top"}),
        ("last:2", {"block2b", "block3a", "top"}),
        ("all", {"stem", "block1a", "block2a", "block2b", "block3a", "top"}),
    ],
)
def test_the_last_blocks_learn_and_normalisations_keep_their_statistics(
    small, train, learn
):
    import keras

    _, network = body_of(small[0], train=train)
    learning = [one for one in network.layers[:-1] if one.trainable_variables]
    assert {one.name.partition("_")[0] for one in learning} == learn
    assert not any(isinstance(one, keras.layers.BatchNormalization) for one in learning)
    rates = [one.trainable_variables[0].rate for one in learning]
    assert rates == sorted(rates)
    assert rates[-1:] == [LAST] * bool(learn)


def test_low_rank_updates_are_for_texts(small):
    with pytest.raises(SpecError, match="the backbone has no attention"):
        body_of(small[0], train="lora:4")


def fit_of(folder, **training):
    """A fit of 12 images in two classes that has not begun."""
    random = np.random.default_rng(2)
    items = random.integers(0, 256, (12, 64, 70, 3), np.uint8)
    rows = Examples(items, (np.arange(12) % 2).astype(np.int32))
    table = {"name": "photos", "medium": "image", "data": {"source": "sample"}}
    table["model"] = {"arguments": {"preset": str(folder)}}
    table["training"] = {"epochs": 2, "batch_size": 4, "calibrate": False} | training
    spec = PipelineSpec.model_validate(table)
    data = TrainingData(DATA, InShards(rows, [12]), rows)
    return Fit(spec, Path("."), "pretrained", data)


@pytest.mark.parametrize(
    ("training", "taken"),
    [
        pytest.param({}, (1280,), id="only the head is computed in each epoch"),
        pytest.param({"augment": {"crop": 0.1}}, (64, 70, 3), id="augmented"),
    ],
)
def test_only_the_head_is_trained(small, training, taken):
    fit = fit_of(small[0], **training)
    assert fit.network.input_shape == (None, *taken)
    model = fit.run(lambda number, metrics: None).model
    layers = {layer.name: layer for layer in layers_of(model)}
    for name, arrays in small[1].items():
        for array, weight in zip(arrays, layers[name].get_weights(), strict=True):
            np.testing.assert_array_equal(array, weight)


def test_lite0_knows_two_photos(tmp_path):
    """By the published weights, whose last layer is for the classes of ImageNet."""
    import keras
    from PIL import Image
    from sklearn.datasets import load_sample_images

    tensors = lite0.read_tensors(lite0.package_file())
    lite0.write_preset(
        tmp_path, lite0.CONFIG, lite0.layers_of(tensors), lite0.CONVERTER
    )
    resized = [
        Image.fromarray(one).resize((240, 160))
        for one in load_sample_images()["images"]
    ]
    photos = np.stack([np.asarray(one) for one in resized])
    data = DATA.model_copy(update={"shape": photos.shape[1:]})
    preset = {"preset": str(tmp_path), "pixels": 160}
    preprocessing, network = build("pretrained", data, preset)
    (pooled,) = (one for one in network.layers if "pooling" in one.name)
    mean = keras.Model(network.inputs, pooled.output)(preprocessing(photos))
    answers = np.asarray(mean) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert answers.argmax(1).tolist() == [442, 985]  # of ImageNet: bell cote, daisy
