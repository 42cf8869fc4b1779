"""The test items of earlier evaluations.

The store has one file for the items of an evaluation: ``judged/<sha256>.bin``, the
sorted distinct digests of the items, 32 bytes each. The evidence in the ledger has the
sha256 of the file. The store is untrusted: if a file is gone or changed, the test items
of its snapshot replace it. If that is gone as well, no item counts as new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import DIGEST
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.records import SnapshotRecord
from headrace.state.ledger import Attempt
from headrace.state.store import Store

Items = npt.NDArray[np.bytes_]
FindSnapshot = Callable[[str], SnapshotRecord | None]


@dataclass(frozen=True, slots=True)
class Past:
    """The earlier attempts, as they count for the present one.

    Attributes:
        new: whether each item is in no earlier attempt, bool ``(n,)``.
        attempt: the number of this attempt, among those on any of the items and those
            since the promotion of the best champion.
        attempt_on_new: its number among those on new items since then.
        note: on items that the store has lost; else empty.
    """

    new: npt.NDArray[np.bool_]
    attempt: int = 1
    attempt_on_new: int = 1
    note: str = ""


def keep_items(store: Store, items: Items) -> str:
    """Store the distinct items of an evaluation, sha256 ``(n,)``.

    Returns:
        the digest of their file.
    """
    data = np.unique(items).tobytes()
    digest = hashlib.sha256(data).hexdigest()
    if _read(store, digest) is None:
        store.write(_key(digest), data)
    return digest


def look_back(
    attempts: Sequence[Attempt],
    own: tuple[str, int, str],
    items: Items,
    since: int,
    store: Store,
    find: FindSnapshot,
) -> Past:
    """Count the earlier attempts on these items.

    An attempt is one comparison: some weights, against a champion, on some items. A
    repeated comparison keeps its number, by the order of the evidence in the ledger.

    Args:
        attempts: all evidence of the model, oldest first.
        own: weights digest, champion's version and rows digest of the present attempt.
        items: of the present attempt, ``(n,)``.
        since: the id of the evidence by which the best champion was promoted.
        store: of the items of earlier attempts.
        find: gives a snapshot by its digest; None where it is gone.
    """
    earlier = attempts_before(attempts, own)
    new = np.ones(len(items), bool)
    overlapping: set[tuple[str, str]] = set()
    lost = set[int]()
    for rows in dict.fromkeys((a.rows_digest, a.snapshot_digest) for a in earlier):
        judged = items_of(store, find, *rows)
        known = np.ones(len(items), bool) if judged is None else is_among(items, judged)
        if judged is None:
            lost |= {a.version for a in earlier if _rows(a) == rows}
        if known.any():
            overlapping.add(rows)
            new &= ~known
    compared = [a for a in earlier if a.champion_version is not None]
    counted = {_subject(a) for a in compared if a.id > since or _rows(a) in overlapping}
    on_new = {
        _subject(a)
        for a in compared
        if a.id > since and "attempt_on_new_items" in a.metrics
    }
    return Past(new, len(counted) + 1, len(on_new) + 1, _lost(lost))


def attempts_before(
    attempts: Sequence[Attempt], own: tuple[str, int, str]
) -> Sequence[Attempt]:
    """The attempts before the first one that equals ``own``."""
    for place, attempt in enumerate(attempts):
        if _subject(attempt) == own:
            return attempts[:place]
    return attempts


def _subject(attempt: Attempt) -> tuple[str, int | None, str]:
    rows = attempt.rows_digest or attempt.snapshot_digest
    return attempt.weights_digest, attempt.champion_version, rows


def _rows(attempt: Attempt) -> tuple[str, str]:
    return attempt.rows_digest, attempt.snapshot_digest


def _lost(versions: set[int]) -> str:
    if not versions:
        return ""
    names = ", ".join(map(str, sorted(versions)))
    return (
        f"no item counts as new, since the store has lost which ones version {names} "
        "was judged on"
    )


def items_of(
    store: Store, find: FindSnapshot, rows_digest: str, snapshot_digest: str
) -> Items | None:
    """The sorted items of an evaluation; None where they are lost."""
    items = _read(store, rows_digest) if rows_digest else None
    if items is not None:
        return items
    snapshot = find(snapshot_digest)
    if snapshot is None:
        return None
    try:
        return np.unique(SplitRows(snapshot, "test").items())
    except IntegrityError:
        return None


def _read(store: Store, digest: str) -> Items | None:
    try:
        data = store.read(_key(digest))
    except FileNotFoundError:
        return None
    if hashlib.sha256(data).hexdigest() != digest or len(data) % DIGEST.itemsize:
        return None
    return np.frombuffer(data, DIGEST)


def _key(digest: str) -> str:
    return f"judged/{digest}.bin"


def is_among(items: Items, others: Items) -> npt.NDArray[np.bool_]:
    """Which items occur in ``others``, which are sorted, bool ``(n,)``."""
    if not len(others):
        return np.zeros(len(items), bool)
    places = np.searchsorted(others, items).clip(max=len(others) - 1)
    return np.asarray(others[places] == items)
