"""What earlier windows of a version showed: in the store, checked by the ledger.

``monitoring/<sha256 of the model>/``: a small file for each window, never overwritten,
and ``scores.npy`` with the scores of all labels so far, in the order of their coming.
"""

from __future__ import annotations

import hashlib
import io
from datetime import datetime

import numpy as np
import numpy.typing as npt

from headrace.data.anchored import AnchoredStore, as_json
from headrace.data.snapshots.reading import DIGEST
from headrace.drift.verdict import WINDOWS, Sign
from headrace.records import Record
from headrace.state.ledger import Version
from headrace.state.ledger.rows import utc_now
from headrace.use.monitoring.batches import Batch, Texts

_SCORE = np.dtype([("item", DIGEST), ("score", np.float64)])
_LOOKED_AT = 50  # files, the newest first
Scored = npt.NDArray[np.void]


class KeptWindow(Record):
    """The judgement of one window.

    Attributes:
        when: of the judgement, ISO 8601, UTC.
        window: sha256 over its sorted items.
        first, last: times of its requests, ISO 8601; empty where they are not known.
        sign: what it showed; None where it had too few items.
        status, reason: of the report.
    """

    when: str
    window: str
    first: str = ""
    last: str = ""
    sign: Sign | None = None
    status: str
    reason: str

    def overlaps(self, other: KeptWindow) -> bool:
        """Whether both have the same items, or requests of the same time."""
        if self.window == other.window:
            return True
        return bool(
            self.first
            and other.first
            and _moment(self.first) <= _moment(other.last)
            and _moment(other.first) <= _moment(self.last)
        )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


class History:
    """The windows and labels of one version.

    Args:
        version: of the ledger.
        anchored: the store. Methods raise its errors.
    """

    def __init__(self, version: Version, anchored: AnchoredStore) -> None:
        self._anchored = anchored
        self._folder = f"monitoring/{version.model_digest}"

    def signs_before(self, window: KeptWindow) -> list[Sign]:
        """Signs of the latest windows that share nothing with it, the latest last.

        A window that is judged again, or that has requests of this one, is not another
        window.
        """
        signs = list[Sign]()
        taken = [window]
        names = self._anchored.store.names(self._folder)
        for name in sorted(names, reverse=True)[:_LOOKED_AT]:
            key = f"{self._folder}/{name}"
            if not name.endswith(".json"):
                continue
            kept = self._anchored.read_record(key, KeptWindow)
            if kept is None or kept.sign is None:
                continue
            if any(kept.overlaps(other) for other in taken):
                continue
            taken.append(kept)
            signs.append(kept.sign)
            if len(signs) == WINDOWS - 1:
                break
        return signs[::-1]

    def keep(self, window: KeptWindow) -> None:
        """Add the judgement of a window."""
        name = f"{window.when.replace(':', '')}-{window.window[:16]}.json"
        data = as_json(window.model_dump(mode="json"))
        self._anchored.write(f"{self._folder}/{name}", data)

    def scores(self) -> Scored:
        """All scores so far, ``(n,)`` of item and score, in their order."""
        data = self._anchored.read(f"{self._folder}/scores.npy")
        if data is None:
            return np.empty(0, _SCORE)
        scores: Scored = np.load(io.BytesIO(data), allow_pickle=False)
        return scores if scores.dtype == _SCORE else np.empty(0, _SCORE)

    def keep_scores(self, scores: Scored) -> None:
        """Replace the scores, those of before and new ones."""
        buffer = io.BytesIO()
        np.save(buffer, scores, allow_pickle=False)
        self._anchored.write(f"{self._folder}/scores.npy", buffer.getvalue())


def with_new(before: Scored, items: Texts, scores: npt.NDArray[np.float64]) -> Scored:
    """Scores with those of items that have none yet, in their order.

    Args:
        before: the scores so far.
        items: sha256, hex, ``(n,)``.
        scores: of the items, ``(n,)``.
    """
    new = np.empty(len(items), _SCORE)
    new["item"] = [bytes.fromhex(item) for item in items]
    new["score"] = scores
    both = np.concatenate([before, new])
    first = np.sort(np.unique(both["item"], return_index=True)[1])
    return both[first]


def kept_window(
    batch: Batch, status: str, reason: str, sign: Sign | None
) -> KeptWindow:
    """The record of a window that is judged now."""
    text = "\n".join(sorted(set(batch.items.tolist()))).encode()
    return KeptWindow(
        when=utc_now(),
        window=hashlib.sha256(text).hexdigest(),
        first=batch.first.isoformat() if batch.first else "",
        last=batch.last.isoformat() if batch.last else "",
        sign=sign,
        status=status,
        reason=reason,
    )
