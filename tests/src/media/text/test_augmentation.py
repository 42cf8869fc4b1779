"""Augmentation of texts: tokens become the unknown one, or 0."""

import numpy as np
import pytest

from headrace.imports.backend import load_backend
from headrace.media.text.augmentation import augment

KEYS = np.arange(200, dtype=np.int64) * 7919


@pytest.fixture(scope="module", autouse=True)
def _backend():
    load_backend()


def test_tokens_become_unknown_and_padding_stays():
    ids = np.tile(np.array([5, 9, 1, 7, 0, 0], np.int32), (200, 1))
    after = np.asarray(augment(ids, KEYS, {"token_drop": 0.25}))
    assert after.dtype == np.int32
    assert (after[:, 4:] == 0).all()
    changed = after[:, [0, 1, 3]] != ids[:, [0, 1, 3]]
    assert (after[:, [0, 1, 3]][changed] == 1).all()
    assert 0.2 < changed.mean() < 0.3


@pytest.mark.parametrize("shape", [(40,), (40, 3)])
def test_numbers_of_tokens_become_zero(shape):
    after = np.asarray(
        augment(np.full((200, *shape), 2.0, np.float32), KEYS, {"token_drop": 0.25})
    )
    of_tokens = after.reshape(200, 40, -1)
    assert 0.2 < (of_tokens[:, :, 0] == 0).mean() < 0.3
    assert (of_tokens == of_tokens[:, :, :1]).all()
