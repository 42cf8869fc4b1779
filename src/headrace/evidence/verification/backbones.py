"""Whether pretrained backbones are as recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from headrace.errors import IntegrityError
from headrace.state import backbones
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
        for one in backbone_mismatches(digest, home):
            told.append(f"{one.message} {one.action}")
    return " ".join(told)


def backbone_mismatches(digest: str, home: Home) -> Iterator[Mismatch]:
    """Which file of a backbone differs from its record.

    Args:
        digest: of a backbone whose record is as the ledger has it.
        home: with the store.
    """
    try:
        backbones.check(digest, home)
    except IntegrityError as error:
        yield Mismatch(where="store", message=error.message, action=error.action)
