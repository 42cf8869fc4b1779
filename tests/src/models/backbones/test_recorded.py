"""A converted backbone gives what its published weights give.

Their answers were computed once in NumPy, from the weights alone, and are recorded: of
four texts and four images by small random backbones. KerasHub's own conversion gives
others where `exact` mends it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.extras import needs_keras_hub
from tests.src.models.backbones import lite0

from headrace.models import pretrained
from headrace.models.backbones import images, texts
from headrace.records import DataDescription

pytestmark = [pytest.mark.system, needs_keras_hub]

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())
TEXTS = np.array(["Zürich, naïve red-ly", "我 a b", "", "blue " * 30])
IN_TEXTS = DataDescription(medium="text", shape=(4096,), classes=("a", "b"))
PHOTOS = np.random.default_rng(1).integers(0, 256, (4, 64, 70, 3), np.uint8)
IN_PHOTOS = DataDescription(medium="image", shape=(64, 70, 3), classes=("a", "b"))
EVERY = 160  # of 1,280 numbers, one is recorded
B0 = {"activation": "swish", "stackwise_squeeze_and_excite_ratios": [0.25] * 3}
TORCH = {"include_stem_padding": True, "stem_conv_padding": "valid"}


def difference(name, data, folder, items, every=1):
    """The largest one of what is built from what is recorded."""
    import keras

    preprocessing, body = pretrained.build(data, str(folder))
    vectors = np.asarray(body(preprocessing(keras.ops.convert_to_tensor(items))))
    return np.abs(vectors[:, ::every] - np.array(RECORDED[name])).max()


def test_a_bert_is_exact_and_the_converters_is_not(small_bert, monkeypatch):
    import keras

    asked = "bert", IN_TEXTS, small_bert, TEXTS
    assert difference(*asked) < 1e-6

    def converted(backbone):
        return keras.Model(backbone.inputs, backbone.outputs)

    monkeypatch.setattr(texts, "exact", converted)
    assert difference(*asked) > 1e-5


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Lite, of TensorFlow", {}),
        ("B0, of TensorFlow", B0),
        ("Lite, of PyTorch", TORCH),
        ("B0, of PyTorch", B0 | TORCH),
    ],
)
def test_an_efficientnet_is_exact_and_the_converters_only_of_pytorch(
    name, change, tmp_path, monkeypatch
):
    import keras

    folder, _ = lite0.small_preset(tmp_path, change)
    asked = name, IN_PHOTOS, folder, PHOTOS, EVERY
    assert difference(*asked) < 1e-5

    def converted(backbone, taken):
        return keras.Model(taken, backbone(taken))

    monkeypatch.setattr(images, "exact", converted)
    assert (difference(*asked) < 1e-5) == ("PyTorch" in name)
