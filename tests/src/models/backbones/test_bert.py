"""A converted BERT gives what its published weights give."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.extras import needs_keras_hub

from headrace.models.backbones.bert import Bert

pytestmark = [pytest.mark.system, needs_keras_hub]

IDS = np.array([[2, 5, 6, 9, 3, 0], [2, 7, 3, 0, 0, 0], [2, 10, 8, 6, 11, 3]])


@pytest.fixture(scope="module")
def reference(small_bert):
    from safetensors.numpy import load_file

    config = json.loads((small_bert / "config.json").read_text())
    return Bert(config, load_file(small_bert / "model.safetensors"))


def vectors_of(backbone):
    arrays = {
        "token_ids": IDS,
        "segment_ids": np.zeros_like(IDS),
        "padding_mask": (IDS != 0).astype(np.int32),
    }
    inputs = [arrays[one.name] for one in backbone.inputs]
    return next(np.asarray(v) for v in backbone(inputs) if v.ndim == 3)


def test_the_backbone_that_is_used_is_exact_and_the_converters_is_not(
    small_bert, reference
):
    import keras
    import keras_hub

    from headrace.models.backbones.texts import exact

    converted = keras_hub.models.Backbone.from_preset(str(small_bert))
    expected, is_token = reference(IDS, IDS != 0), IDS != 0
    plain = keras.Model(converted.inputs, converted.outputs)
    assert 1e-4 < np.abs(vectors_of(plain) - expected)[is_token].max() < 1e-1
    assert np.abs(vectors_of(exact(converted)) - expected)[is_token].max() < 1e-5


def test_padding_changes_nothing(reference):
    alone = reference(IDS[1:2, :3], IDS[1:2, :3] != 0)
    np.testing.assert_allclose(reference(IDS, IDS != 0)[1, :3], alone[0], atol=1e-12)


def test_other_architectures_are_refused(reference):
    from tests.src.models.backbones.conftest import CONFIG, weights_of

    weights = weights_of(np.random.default_rng(7))
    for field, value, told in (
        ("hidden_act", "relu", "relu"),
        ("position_embedding_type", "relative", "relative"),
        ("num_hidden_layers", 1, "have 2 layers, and num_hidden_layers is 1"),
    ):
        with pytest.raises(ValueError, match=told):
            Bert(CONFIG | {field: value}, weights)


def test_texts_become_the_word_pieces_of_the_original(small_bert):
    from tokenizers import BertWordPieceTokenizer

    from headrace.models import pretrained
    from headrace.records import DataDescription

    texts = ["Zürich", "naïve red-ly", "", "blue " * 30, "B unknown a"]
    data = DataDescription(medium="text", shape=(64,), classes=("a", "b"))
    preprocessing, body = pretrained.build(data, str(small_bert), max_tokens=8)
    original = BertWordPieceTokenizer(str(small_bert / "vocab.txt"), lowercase=True)
    original.enable_truncation(10)
    original.enable_padding(length=10)
    expected = [one.ids for one in original.encode_batch(texts)]
    import keras

    ids = preprocessing(keras.ops.convert_to_tensor(np.array(texts)))
    assert np.asarray(ids).tolist() == expected
    assert not body.trainable_variables
    assert body.output_shape == (None, 16)


def test_a_text_has_no_more_word_pieces_than_the_encoder_has_positions(small_bert):
    from headrace.models import pretrained
    from headrace.records import DataDescription

    data = DataDescription(medium="text", shape=(64,), classes=("a", "b"))
    preprocessing, _ = pretrained.build(data, str(small_bert))
    assert preprocessing.output_shape == (None, 24)
