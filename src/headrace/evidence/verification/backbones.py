"""Whether pretrained backbones are as recorded, and give what their weights give."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

from headrace.errors import IntegrityError, UsageError
from headrace.models.backbones import check_installed
from headrace.state import backbones
from headrace.state.backbones import Backbone
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version

MEND = "Bring it again with `headrace backbone add`; and change who may write there."


def digests_of(versions: Collection[Version]) -> set[str]:
    """The digests of the backbones that versions began with."""
    trainings = (version.details.get("training", {}) for version in versions)
    return {one["backbone"]["digest"] for one in trainings if one.get("backbone")}


def backbone_problems(version: Version, home: Home) -> str:
    """What is wrong with the backbone that a version began with, and what mends it.

    One that is gone is no problem: the version holds its weights.

    Returns:
        sentences; empty where nothing is wrong.
    """
    told = []
    for digest in digests_of([version]):
        key = f"{backbones.FOLDER}/{digest}/{backbones.RECORD}"
        if not home.store.exists(key):
            continue
        if home.anchored.read(key) is None:
            told.append(f"{home.store.uri(key)} was changed. {MEND}")
            continue
        for one in backbone_mismatches(digest, home, []):
            told.append(f"{one.message} {one.action}")
    return " ".join(told)


def backbone_mismatches(
    digest: str, home: Home, warnings: list[str]
) -> Iterator[Mismatch]:
    """What of a backbone differs from its record.

    The digests of its files are compared, and, where the extra is installed, the
    vectors that it gives now with those of its reference.

    Args:
        digest: of a backbone whose record is as the ledger has it.
        home: with the store.
        warnings: gets a sentence on what could not be compared.
    """
    try:
        backbone = backbones.check(digest, home)
        if backbone.golden_digest:
            yield from _vector_mismatches(backbone, home)
    except IntegrityError as error:
        yield _mismatch(error.message, error.action)
    except UsageError as error:
        warnings.append(f"a backbone was not compared with its reference: {error}")


def _vector_mismatches(backbone: Backbone, home: Home) -> Iterator[Mismatch]:
    key = f"{backbones.FOLDER}/{backbone.digest}/{backbones.GOLDEN}"
    try:
        data = home.store.read(key, backbone.golden_digest)
    except FileNotFoundError:
        data = b""
    if hashlib.sha256(data).hexdigest() != backbone.golden_digest:
        message = f"{home.store.uri(key)} is not the file that was recorded."
        yield _mismatch(message, backbones.again(backbone, home))
        return
    check_installed()
    from headrace.use.backbones import proof

    folder = backbones.local_folder(backbone.digest, home)
    difference = proof.difference(folder, proof.from_bytes(data))
    if not difference <= proof.LARGEST_DIFFERENCE:
        yield _mismatch(
            f"The backbone {backbone.digest[:16]} gives other vectors than its "
            f"reference: the largest difference is {difference:.2g}, and it was "
            f"{backbone.difference:.2g} when it was brought.",
            "Its files are as recorded, so KerasHub or Keras has changed: install the "
            "versions of the lock.",
        )


def _mismatch(message: str, action: str) -> Mismatch:
    return Mismatch(where="store", message=message, action=action)
