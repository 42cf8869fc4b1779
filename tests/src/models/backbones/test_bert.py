"""A pretrained encoder of texts reads word pieces as its original does."""

from __future__ import annotations

import numpy as np
import pytest
from tests.extras import needs_keras_hub

pytestmark = [pytest.mark.system, needs_keras_hub]


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
