"""A backbone is built and asked before it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headrace.errors import HeadraceError, Refusal
from headrace.imports.backend import load_backend
from headrace.media.forms import Payload
from headrace.models import pretrained
from headrace.models.backbones import ARCHITECTURES, check_installed
from headrace.records import DataDescription

_SHAPES = {"text": (4096,), "image": (64, 96, 3), "audio": (16_000,)}
_TEXTS = ("The quick brown fox jumps.", "Zürich, naïve café", "我喜欢学习机器", "")
_ITEMS = 2  # of images and sounds


def try_out(folder: Path, architecture: str) -> None:
    """Have a backbone answer a few items.

    Args:
        folder: with its files.
        architecture: a key of `ARCHITECTURES`.

    Raises:
        UsageError: the extra ``pretrained`` is not installed.
        Refusal: it cannot be converted, or does not give finite numbers.
    """
    check_installed()
    load_backend()
    medium = ARCHITECTURES[architecture]
    try:
        is_finite = _answers(folder, medium)
    except HeadraceError:
        raise
    except Exception as error:  # KerasHub raises what it meets
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
        raise Refusal(
            f"No backbone can be made of it: {reason.rstrip('.: ')}.",
            "Its configuration may not belong to its weights, or is of a kind that "
            "KerasHub does not know.",
        ) from error
    if not is_finite:
        raise Refusal(
            f"Its vectors of a few items of the medium {medium} are not finite.",
            "Its weights may be damaged: bring it again.",
        )


def _answers(folder: Path, medium: str) -> bool:
    """Whether the vectors of some items are finite."""
    import keras

    data = DataDescription(
        medium=medium,
        shape=_SHAPES[medium],
        sample_rate_hz=16_000,
        target={"classes": ["no", "yes"]},
    )
    preprocessing, body = pretrained.build(data, str(folder))
    items = keras.ops.convert_to_tensor(_items(medium))
    vectors = keras.ops.convert_to_numpy(body(preprocessing(items)))
    return bool(np.isfinite(vectors).all())


def _items(medium: str) -> Payload:
    if medium == "text":
        return np.array(_TEXTS)
    random = np.random.default_rng(7)
    shape = (_ITEMS, *_SHAPES[medium])
    if medium == "image":
        return random.integers(0, 256, shape, np.uint8)
    return random.normal(0, 0.1, shape).astype(np.float32)
