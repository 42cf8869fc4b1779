"""Augmentation of texts in training steps: tokens are dropped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from headrace.media.draws import uniform

_UNKNOWN = 1  # Keras's vectoriser; 0 is padding


def augment(items: Any, keys: Any, fields: Mapping[str, Any]) -> Any:
    """See `headrace.media.Augmentation`: a token becomes one that is unknown.

    Args:
        items: numbers of tokens, integers ``(batch, tokens)``; or a number for each
            token of a vocabulary, or some for each token of the text, which become 0.
        keys: of the rows.
        fields: ``token_drop``.
    """
    from keras import ops

    count = math.prod(items.shape[1:2])
    is_dropped = uniform(keys, count) < fields.get("token_drop", 0.0)
    is_dropped = ops.reshape(is_dropped, (-1, count, *(1 for _ in items.shape[2:])))
    if "int" not in str(items.dtype):
        return ops.where(is_dropped, ops.zeros_like(items), items)
    unknown = ops.minimum(items, _UNKNOWN)
    return ops.where(is_dropped, unknown, items)
