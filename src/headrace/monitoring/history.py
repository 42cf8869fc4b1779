"""What earlier windows and labels of a version showed: in the store.

``monitoring/<sha256 of the model>/`` has ``windows.json``, the latest judgements, and
``scores.npy``, the scores of labels in the order of their coming. Of two reports on one
version at the same moment, what the later one writes counts. Items are named by keyed
digests, see `ForgottenItems`: others could guess texts.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from datetime import datetime

import numpy as np
import numpy.typing as npt

from headrace.data.corrections import ForgottenItems
from headrace.data.snapshots.reading import DIGEST
from headrace.errors import IntegrityError
from headrace.monitoring.batches import Batch
from headrace.records import Record
from headrace.state.ledger.records import utc_now
from headrace.state.store import Store

WINDOWS = 3  # of which two must be suspicious
_MOST = 500  # windows that are kept
_SCORE = np.dtype([("mark", DIGEST), ("score", np.float64)])
Scored = npt.NDArray[np.void]


class StoredWindow(Record):
    """The judgement of one window.

    Attributes:
        when: of the judgement, ISO 8601, UTC.
        window: sha256 over the sorted marks of its items; see `Batch.marked`.
        first, last: times of its requests, ISO 8601; empty where they are not known.
        suspicious: see `Judgement`; None where it had too few items.
        status, reason: of the report.
    """

    when: str
    window: str
    first: str = ""
    last: str = ""
    suspicious: bool | None
    status: str
    reason: str

    @classmethod
    def of(
        cls, batch: Batch, status: str, reason: str, suspicious: bool | None
    ) -> StoredWindow:
        """The record of a window that is judged now, of items by their marks."""
        items = "\n".join(sorted(set(batch.items.tolist())))
        return cls(
            when=utc_now(),
            window=hashlib.sha256(items.encode()).hexdigest(),
            first=batch.first.isoformat() if batch.first else "",
            last=batch.last.isoformat() if batch.last else "",
            suspicious=suspicious,
            status=status,
            reason=reason,
        )

    def overlaps(self, other: StoredWindow) -> bool:
        """Whether both have the same items, or requests of the same time."""
        if self.window == other.window:
            return True
        texts = (self.first, other.last, other.first, self.last)
        if not all(texts):
            return False
        first, last, other_first, own_last = map(datetime.fromisoformat, texts)
        return first <= last and other_first <= own_last


class _Windows(Record):
    windows: tuple[StoredWindow, ...]


class History:
    """The windows and labels of one version.

    Args:
        model_digest: sha256 of the version's model.
        store: the store. Methods raise its errors.
    """

    def __init__(self, model_digest: str, store: Store) -> None:
        self._store = store
        self._windows = f"monitoring/{model_digest}/windows.json"
        self._scores = f"monitoring/{model_digest}/scores.npy"

    def windows(self) -> tuple[StoredWindow, ...]:
        """The latest windows, in the order of their judgements.

        There are none where the file is damaged.
        """
        stored = self._store.read_record(self._windows, _Windows)
        return stored.windows if stored else ()

    def before(self, window: StoredWindow) -> list[bool]:
        """Which of the latest other windows were suspicious, the latest last.

        A window that overlaps this one, or a later one, is no other window.
        """
        taken = [window]
        for one in reversed(self.windows()):
            if len(taken) == WINDOWS:
                break
            if one.suspicious is not None and not any(map(one.overlaps, taken)):
                taken.append(one)
        return [bool(one.suspicious) for one in taken[:0:-1]]

    def last(self) -> StoredWindow | None:
        """The latest window that had enough items, else the latest; None without."""
        windows = self.windows()
        tested = [one for one in windows if one.status != "too few"]
        return next(reversed([*windows[-1:], *tested]), None)

    def keep(self, window: StoredWindow) -> None:
        """Add the judgement of a window."""
        kept = _Windows(windows=(*self.windows(), window)[-_MOST:])
        self._store.write_json(self._windows, kept.model_dump(mode="json"))

    def scores(self) -> Scored:
        """All scores so far, ``(n,)`` of mark and score, in their order.

        Raises:
            IntegrityError: the file is damaged.
        """
        data = self._store.find(self._scores)
        if data is None:
            return np.empty(0, _SCORE)
        try:
            scores = np.load(io.BytesIO(data), allow_pickle=False)
            return np.asarray(scores, _SCORE)
        except (ValueError, TypeError, EOFError) as error:
            raise IntegrityError(
                f"The scores of labels cannot be read: {self._store.uri(self._scores)}:"
                f" {error}.",
                "Delete the file, and give the labels again.",
            ) from None

    def write_scores(self, scores: Scored) -> None:
        """Replace all scores ``(n,)``."""
        buffer = io.BytesIO()
        np.save(buffer, scores, allow_pickle=False)
        self._store.write(self._scores, buffer.getvalue())

    def take_out(self, forgotten: ForgottenItems) -> int:
        """Delete the scores of forgotten items; returns their number."""
        scores = self.scores()
        marks = np.array([*map(bytes.fromhex, forgotten.marks)], DIGEST)
        gone = np.isin(scores["mark"], marks)
        if gone.any():
            self.write_scores(scores[~gone])
        return int(gone.sum())


def with_new(
    before: Scored, marks: Iterable[str], scores: npt.NDArray[np.float64]
) -> Scored:
    """Scores with those of items that have none yet, in their order.

    Args:
        before: the scores so far.
        marks: of the items, hex, ``(n,)``; see `Batch.marked`.
        scores: of the items, ``(n,)``.
    """
    new = np.empty(len(scores), _SCORE)
    new["mark"] = [*map(bytes.fromhex, marks)]
    new["score"] = scores
    every = np.concatenate([before, new])
    first = np.sort(np.unique(every["mark"], return_index=True)[1])
    return every[first]
