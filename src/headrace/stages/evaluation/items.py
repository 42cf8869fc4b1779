"""The test items that count in a comparison: judged before, learned from, or vanished.

The store has one file for the items of an evaluation: ``judged/<sha256>.bin``, the
sorted distinct digests of the items, 32 bytes each. The evidence in the ledger has the
sha256 of the file. The store is untrusted: if a file is gone or changed, the test items
of its snapshot replace it. If that is gone as well, no item counts as new.

Items of the champion's evaluations that are no longer in the data are answered from
their old snapshot. Otherwise a challenger could win by a data set without the rows that
it predicts wrongly.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import DIGEST, digests_of, read_shard, shards_of
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.media.arrow import is_among
from headrace.media.forms import Flags
from headrace.models.logged import loading
from headrace.records import DataDescription, SnapshotRecord
from headrace.stages.evaluation.answers import Scored
from headrace.stages.former import Attempt
from headrace.state.store import Store
from headrace.tasks import Judge, asked, difference
from headrace.tasks.forms import Targets

Items = npt.NDArray[np.bytes_]
Subject = tuple[str, int | None, str]  # training, champion and rows of a comparison
ROWS = 20_000  # rows are in hash order, so the first ones are a random sample
CHALLENGER = 0  # which has no version yet
SNAPSHOTS = 20  # to be opened, those with the most vanished items first


@dataclass(frozen=True, slots=True)
class Archive:
    """The test items of earlier evaluations.

    Attributes:
        store: of the files.
        find: gives a snapshot by its digest; raises IntegrityError where it is gone.
    """

    store: Store
    find: Callable[[str], SnapshotRecord]

    def keep(self, items: Items) -> str:
        """Store the distinct items of an evaluation, sha256 ``(n,)``.

        Returns:
            the digest of their file.
        """
        data = np.unique(items).tobytes()
        digest = hashlib.sha256(data).hexdigest()
        if self._read(digest) is None:
            self.store.write(f"judged/{digest}.bin", data)
        return digest

    def items(self, rows_digest: str, snapshot_digest: str) -> Items | None:
        """The sorted items of an evaluation; None where they are lost.

        Where one was forgotten, they are those that `headrace forget` has left.
        """
        left = f"judged/{rows_digest}.left.bin"
        items = self._read(rows_digest)
        if items is None and self.store.exists(left):
            items = np.frombuffer(self.store.read(left), DIGEST)
        if items is not None:
            return items
        try:
            return np.unique(SplitRows(self.find(snapshot_digest), "test").items())
        except IntegrityError:
            return None

    def _read(self, digest: str) -> Items | None:
        try:
            data = self.store.read(f"judged/{digest}.bin")
        except FileNotFoundError:
            return None
        if hashlib.sha256(data).hexdigest() != digest or len(data) % DIGEST.itemsize:
            return None
        return np.frombuffer(data, DIGEST)


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


def look_back(
    archive: Archive, earlier: Sequence[Attempt], items: Items, since: int
) -> Past:
    """Count the earlier attempts on these items.

    An attempt is one comparison: a training, against a champion, on some items. A
    repeated comparison keeps its number, by the order of the evidence in the ledger.

    Args:
        archive: of the items of earlier attempts.
        earlier: the evidence of the model from `attempts_before`, oldest first.
        items: of the present attempt, ``(n,)``.
        since: the id of the evidence by which the best champion was promoted.
    """
    new = np.ones(len(items), bool)
    overlapping: set[tuple[str, str]] = set()
    lost = set[int]()
    for rows in dict.fromkeys((a.rows_digest, a.snapshot_digest) for a in earlier):
        judged = archive.items(*rows)
        again = np.ones(len(items), bool) if judged is None else is_among(items, judged)
        if judged is None:
            lost |= {a.version for a in earlier if _rows(a) == rows}
        if again.any():
            overlapping.add(rows)
            new &= ~again
    compared = [a for a in earlier if a.champion_version is not None]
    counted = {_subject(a) for a in compared if a.id > since or _rows(a) in overlapping}
    recent = [a for a in compared if a.id > since]
    on_new = {_subject(a) for a in recent if "attempt_on_new_items" in a.metrics}
    note = ""
    if lost:
        names = ", ".join(map(str, sorted(lost)))
        note = (
            "no item counts as new, since the store has lost which ones version "
            f"{names} was judged on"
        )
    return Past(new, len(counted) + 1, len(on_new) + 1, note)


def attempts_before(attempts: Sequence[Attempt], own: Subject) -> Sequence[Attempt]:
    """The attempts before the first one that equals ``own``."""
    return [*itertools.takewhile(lambda attempt: _subject(attempt) != own, attempts)]


def _subject(attempt: Attempt) -> Subject:
    return attempt.training, attempt.champion_version, attempt.rows_digest


def _rows(attempt: Attempt) -> tuple[str, str]:
    return attempt.rows_digest, attempt.snapshot_digest


def learned_from(snapshot: SnapshotRecord, items: Items) -> npt.NDArray[np.bool_]:
    """Which items are in train or val of a snapshot, bool ``(n,)``.

    Raises:
        IntegrityError: the snapshot is gone or damaged.
    """
    learned = np.zeros(len(items), bool)
    for shard in shards_of(snapshot):
        if set(shard.splits) <= {"test"} or not shard.rows:
            continue
        table = read_shard(snapshot, shard, ["item", "split"])
        other = np.asarray(table["split"].to_numpy() != "test", bool)
        learned |= is_among(items, digests_of(table)[other])
    return learned


def _firsts(items: Items) -> npt.NDArray[np.bool_]:
    """Which rows are the first of their item, bool ``(n,)``."""
    first = np.zeros(len(items), bool)
    first[np.unique(items, return_index=True)[1]] = True
    return first


def items_once(items: Items, groups: list[str]) -> Flags:
    """Which rows are the first of their item in their group, bool ``(n,)``."""
    index: dict[str, int] = {}
    codes = [index.setdefault(group, len(index)) for group in groups]
    both = np.empty(len(items), [("item", items.dtype), ("group", np.int64)])
    both["item"], both["group"] = items, codes
    once = np.zeros(len(items), bool)
    once[np.unique(both, return_index=True)[1]] = True
    return once


def compared_rows(
    archive: Archive,
    snapshot: SnapshotRecord,
    items: Items,
    opponents: Mapping[int, str],
) -> tuple[dict[int, npt.NDArray[np.bool_]], list[str]]:
    """One row of each item that neither a challenger nor an opponent was trained on.

    Args:
        archive: finds other snapshots.
        snapshot: of the challenger.
        items: the test items, ``(n,)``.
        opponents: the digest of the snapshot of each, by version.

    Returns:
        the rows of each opponent, bool ``(n,)``, and notes on versions whose data is
        gone.

    Raises:
        IntegrityError: the challenger's snapshot is gone or damaged.
    """
    own, notes = learned_from(snapshot, items), []
    learned = {snapshot.digest: own}
    for version, digest in opponents.items():
        if digest in learned:
            continue
        try:
            learned[digest] = learned_from(archive.find(digest), items)
        except IntegrityError:
            learned[digest] = np.zeros(len(items), bool)
            notes.append(
                f"the data that version {version} learned from is no longer in the "
                "store, so its training items could not be left out; this favours it"
            )
    alone = _firsts(items) & ~own  # a row copied many times is one item
    return {v: alone & ~learned[digest] for v, digest in opponents.items()}, notes


@dataclass(frozen=True, slots=True)
class Vanished:
    """The scores of models on rows that are no longer in the data.

    Attributes:
        items: sha256 of each, ``(n,)``.
        scores: of each model.
        unanswered: number of rows whose snapshot is gone or has another form, or that
            are beyond `ROWS` and `SNAPSHOTS`.
    """

    items: Items
    scores: Mapping[int, Scored]
    unanswered: int = 0


def answer_again(
    archive: Archive,
    models: Mapping[int, Any],
    description: DataDescription,
    attempts: Sequence[Attempt],
    items: Items,
    judge: Judge,
) -> Vanished:
    """Let the models answer the rows that have vanished.

    Args:
        archive: of judged items.
        models: Keras models from raw questions to answers, by version.
        description: of their input.
        attempts: of the champion or against it, oldest first.
        items: of the present test split, ``(n,)``.
        judge: of the answers.
    """
    taken = [np.empty(0, DIGEST)]
    scores: dict[int, list[Scored]] = {n: [Scored.none()] for n in models}
    vanished = _vanished(archive, attempts, items)
    by_size = sorted(vanished.items(), key=lambda pair: -len(pair[1]))
    left = ROWS
    for digest, all_of_it in by_size[:SNAPSHOTS]:
        wanted = all_of_it[:left]
        left -= len(wanted)
        for part, raw, targets in _answered_rows(archive, digest, wanted, description):
            taken.append(part)
            for version, model in models.items():
                outputs = loading.answers(model, raw)
                given = judge.judged(outputs, targets, description)
                scores[version].append(Scored.of(given))
    answered = np.concatenate(taken)
    of_models = {version: Scored.join(parts) for version, parts in scores.items()}
    unanswered = sum(map(len, vanished.values())) - len(answered)
    return Vanished(answered, of_models, unanswered)


def _vanished(
    archive: Archive, attempts: Sequence[Attempt], items: Items
) -> dict[str, Items]:
    """Each item of the attempts that is not among ``items``, by its newest snapshot."""
    present, assigned = np.unique(items), set[bytes]()
    newest: dict[str, list[bytes]] = {}
    for rows_digest, digest in dict.fromkeys(_rows(a) for a in attempts[::-1]):
        judged = archive.items(rows_digest, digest)
        if judged is None:
            continue
        gone = set(judged[~is_among(judged, present)].tolist()) - assigned
        assigned |= gone
        newest.setdefault(digest, []).extend(gone)
    return {digest: np.array(sorted(gone), DIGEST) for digest, gone in newest.items()}


def _answered_rows(
    archive: Archive, digest: str, wanted: Items, description: DataDescription
) -> Iterator[tuple[Items, Any, Targets]]:
    """Items, raw questions and targets of the wanted rows, a shard at a time."""
    questions = asked(description)
    try:
        snapshot = archive.find(digest)
        if not len(wanted) or difference(snapshot.description, description):
            return
        rows = SplitRows(snapshot, "test")
        for shard in np.flatnonzero(rows.counts).tolist():
            items = rows.items_of(shard)
            chosen = is_among(items, wanted) & _firsts(items)
            if chosen.any():
                part = rows.read(shard)
                raw = questions.raw(part.questions[chosen])
                yield items[chosen], raw, part.targets[chosen]
    except IntegrityError:
        return
