"""The manifest of a bundle: what it is, and the digest of every file in it."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from headrace.records import BackboneRecord, Record

MANIFEST, SIGNATURE = "manifest.json", "bundle.sig"
CARD, BILL, EVIDENCE = "card.html", "bom.cdx.json", "evidence.json"
MODEL = "model/logged/data/model.keras"
GOLDEN = "model/golden.npz"


class BundledFile(Record):
    """A file of a bundle."""

    sha256: str
    bytes: int


class Manifest(Record):
    """What a bundle is.

    Attributes:
        model_digest, golden_digest: sha256 of its model file and golden answers.
        created: when the version was registered, ISO 8601, UTC.
        backbone: the pretrained one that the model was made of, if there is one; its
            weights are in the model.
        must_be_signed: whether the pipeline file wants a signature.
        files: all but the manifest itself and the signature of the whole, by name.
    """

    format: Literal[1] = 1
    model: str
    version: int
    model_digest: str
    golden_digest: str
    weights_digest: str
    snapshot_digest: str
    created: str
    backbone: BackboneRecord | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    must_be_signed: bool
    files: dict[str, BundledFile]


def as_json(value: Any) -> bytes:
    """A JSON value as bytes that depend on nothing else."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()
