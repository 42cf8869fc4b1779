"""What earlier windows of a version showed: in the store.

``monitoring/<sha256 of the model>/`` has a small file for each window, and its folder
``scores`` the scores of labels in the order of their coming. No file is overwritten.
Items are named by keyed digests, see `ForgottenItems`: others could guess texts.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.forgotten import ForgottenItems
from headrace.data.snapshots.reading import DIGEST
from headrace.monitoring.drift.verdict import WINDOWS, Sign
from headrace.monitoring.stored import StoredWindow, TimeSpan
from headrace.state.store import Store

_SCORE = np.dtype([("mark", DIGEST), ("score", np.float64)])
_MOST_READ = 500  # files of windows that their names do not tell apart
_MOST_PASSED_OVER = 50  # in search of the last one that had enough items
_MOST_PARTS = 50  # files of new scores, before one has all scores again
_ALL, _NEW = "all", "new"
_PART = re.compile(rf"(\d{{8}})-({_ALL}|{_NEW})-([0-9a-f]{{16}})\.npy")
Scored = npt.NDArray[np.void]


class _Part(NamedTuple):
    """A file of scores; names in ascending order are in the order of writing.

    Attributes:
        number: of the file, from 1; two processes may write the same one.
        kind: ``all`` scores that count, or ``new`` ones beside those before.
        digest: the first digits of the sha256 of its bytes.
    """

    number: int
    kind: str
    digest: str

    @property
    def name(self) -> str:
        return f"{self.number:08d}-{self.kind}-{self.digest}.npy"


class History:
    """The windows and labels of one version.

    Args:
        model_digest: sha256 of the version's model.
        store: the store. Methods raise its errors.
    """

    def __init__(self, model_digest: str, store: Store) -> None:
        self._store = store
        self._folder = f"monitoring/{model_digest}"

    def signs_before(self, window: StoredWindow) -> list[Sign]:
        """Signs of the latest other windows, the latest last.

        A window that is judged again, that has requests of the time of this one or most
        of its items is not another window; see `StoredWindow.is_one_with`.
        """
        taken = [window]
        read = 0
        for name, span in self._windows():
            if len(taken) == WINDOWS or read == _MOST_READ:
                break
            if any(span.overlaps(other.span) for other in taken):
                continue
            read += 1
            stored = self._store.read_record(f"{self._folder}/{name}", StoredWindow)
            if stored is None or stored.sign is None:
                continue
            if not any(stored.is_one_with(other) for other in taken):
                taken.append(stored)
        return [one.sign for one in taken[:0:-1] if one.sign]

    def last(self, *, tested: bool = False) -> StoredWindow | None:
        """The window that was judged last; None if none was.

        Args:
            tested: whether those with too few items are passed over, some of them.
        """
        for name, _ in itertools.islice(self._windows(), _MOST_PASSED_OVER):
            last = self._store.read_record(f"{self._folder}/{name}", StoredWindow)
            if not tested or (last and last.status != "too few"):
                return last
        return None

    def _windows(self) -> Iterator[tuple[str, TimeSpan]]:
        """The files of windows, the newest first; other files are passed over."""
        for name in reversed(self._store.names(self._folder)):
            with contextlib.suppress(ValueError):
                yield name, TimeSpan.of_name(name)

    def keep(self, window: StoredWindow) -> None:
        """Add the judgement of a window."""
        key = f"{self._folder}/{window.name}"
        self._store.write_json(key, window.model_dump(mode="json"))

    def scores(self) -> Scored:
        """All scores so far, ``(n,)`` of mark and score, in their order."""
        parts = list[Scored]()
        for part in reversed(self._parts()):
            data = self._store.find(f"{self._folder}/scores/{part.name}")
            if data is None or part.digest != _digest(data):
                continue
            parts.append(np.load(io.BytesIO(data), allow_pickle=False))
            if part.kind == _ALL:
                break
        return _first_of_each(np.concatenate([np.empty(0, _SCORE), *parts[::-1]]))

    def add_scores(self, scores: Scored, *, anew: bool = False) -> None:
        """Add scores of items that have none yet.

        A process that is killed meanwhile adds nothing and loses none of those before;
        of two at the same time, both add theirs.

        Args:
            scores: ``(n,)``.
            anew: whether all of those before count no more.
        """
        parts = self._parts()
        kinds = [part.kind for part in parts[-_MOST_PARTS:]]
        if not anew and len(kinds) == _MOST_PARTS and _ALL not in kinds:
            scores, anew = np.concatenate([self.scores(), scores]), True
        buffer = io.BytesIO()
        np.save(buffer, scores, allow_pickle=False)
        data = buffer.getvalue()
        number = parts[-1].number + 1 if parts else 1
        name = _Part(number, _ALL if anew else _NEW, _digest(data)).name
        self._store.write(f"{self._folder}/scores/{name}", data)

    def take_out(self, forgotten: ForgottenItems) -> int:
        """Delete the scores of forgotten items; returns their number."""
        scores = self.scores()
        marks = np.array([*map(bytes.fromhex, forgotten.marks)], DIGEST)
        gone = np.isin(scores["mark"], marks)
        if gone.any():
            self.add_scores(scores[~gone], anew=True)
        parts = self._parts()
        while parts and any(part.kind == _ALL for part in parts[1:]):
            self._store.delete(f"{self._folder}/scores/{parts.pop(0).name}")
        return int(gone.sum())

    def _parts(self) -> list[_Part]:
        """The files of scores in the order of writing."""
        names = self._store.names(f"{self._folder}/scores")
        matches = filter(None, map(_PART.fullmatch, names))
        return [_Part(int(name[1]), name[2], name[3]) for name in matches]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _first_of_each(scores: Scored) -> Scored:
    first = np.sort(np.unique(scores["mark"], return_index=True)[1])
    return scores[first]


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
    return _first_of_each(np.concatenate([before, new]))
