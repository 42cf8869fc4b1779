"""Whether a converted backbone gives what its published weights give."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.backend import load_backend
from headrace.errors import HeadraceError, Refusal
from headrace.models import pretrained
from headrace.models.backbones import (
    ARCHITECTURES,
    Golden,
    check_installed,
    images,
    reference,
    texts,
)
from headrace.records import DataDescription

LARGEST_DIFFERENCE = 1e-3  # of a number, as a share of the vector's length
_SHAPES = {"text": (4096,), "image": (64, 64, 3), "audio": (16_000,)}


class Proof(NamedTuple):
    """How far a converted backbone is from its reference.

    Attributes:
        golden: the items and the reference's vectors, as a file's bytes.
        difference: the largest one, of the backbone as Headrace builds it.
        converter_difference: the same of KerasHub's own conversion.
    """

    golden: bytes
    difference: float
    converter_difference: float


def prove(folder: Path, architecture: str) -> Proof | None:
    """Compare a backbone with its reference.

    Args:
        folder: with its files.
        architecture: a key of `ARCHITECTURES`.

    Returns:
        None where there is no reference. It is only built then.

    Raises:
        UsageError: the extra ``pretrained`` is not installed.
        Refusal: it cannot be converted.
    """
    check_installed()
    load_backend()
    try:
        return _prove(folder, architecture)
    except HeadraceError:
        raise
    except Exception as error:  # KerasHub raises what it meets
        lines = str(error).strip().splitlines()
        told = f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
        raise Refusal(
            f"No backbone can be made of it: {told.rstrip('.: ')}.",
            "Its configuration may not belong to its weights, or is of a kind that "
            "KerasHub does not know.",
        ) from error


def _prove(folder: Path, architecture: str) -> Proof | None:
    give = reference(architecture)
    golden = give(folder) if give else None
    if golden is None:
        medium = ARCHITECTURES[architecture]
        target = {"classes": ["no", "yes"]}
        data = DataDescription(
            medium=medium, shape=_SHAPES[medium], sample_rate_hz=16_000, target=target
        )
        pretrained.build(data, str(folder))
        return None
    by_converter = _difference(golden, *_converted(folder, golden))
    return Proof(to_bytes(golden), difference(folder, golden), by_converter)


def difference(folder: Path, golden: Golden) -> float:
    """The largest difference from golden vectors of what Headrace builds.

    Raises:
        UsageError: the extra ``pretrained`` is not installed.
    """
    load_backend()
    built = pretrained.build(golden.data, str(folder), **golden.arguments)
    return _difference(golden, *built)


def _difference(golden: Golden, preprocessing: Any, body: Any) -> float:
    import keras

    items = keras.ops.convert_to_tensor(golden.items)
    vectors = keras.ops.convert_to_numpy(body(preprocessing(items)))
    length = np.linalg.norm(golden.vectors, axis=1).max()
    return float(np.abs(vectors - golden.vectors).max() / length)


def _converted(folder: Path, golden: Golden) -> tuple[Any, Any]:
    """A backbone as KerasHub converts it."""
    import keras
    import keras_hub

    if golden.data.medium == "image":
        return images.converted(golden.data, str(folder), **golden.arguments)
    tokenizer = keras_hub.models.Tokenizer.from_preset(
        str(folder), sequence_length=golden.arguments["max_tokens"]
    )
    backbone = keras_hub.models.Backbone.from_preset(str(folder))
    plain = keras.Model(backbone.inputs, backbone.outputs)
    return texts.joined(tokenizer, plain)


def to_bytes(golden: Golden) -> bytes:
    """Golden items and vectors as a file's bytes."""
    about = {"data": golden.data.model_dump(mode="json"), "arguments": golden.arguments}
    arrays: dict[str, npt.NDArray[Any]] = {
        "items": golden.items,
        "vectors": golden.vectors,
        "about": np.array(json.dumps(about, sort_keys=True)),
    }
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def from_bytes(data: bytes) -> Golden:
    """What `to_bytes` gave."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        about = json.loads(str(arrays["about"]))
        description = DataDescription.model_validate(about["data"])
        items, vectors = arrays["items"], arrays["vectors"]
    return Golden(description, items, vectors, about["arguments"])
