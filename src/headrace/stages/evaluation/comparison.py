"""The comparison of a training with the champion, and the test items that count in it.

An item may have been judged before, or learned from. The store has one file for the
items of an evaluation: ``judged/<sha256>.bin``, the sorted distinct digests of the
items, 32 bytes each. The evidence in the ledger has the sha256 of the file. If a file
is gone or changed, no item counts as new.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import (
    DIGEST,
    digests_of,
    find_snapshot,
    read_shard,
    shards_of,
)
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.gates.champion import Challenge, Scored, champion_gate, not_compared
from headrace.media.arrow import is_among
from headrace.media.forms import Flags
from headrace.models.logged.loading import load_version
from headrace.pipeline import GateSpec
from headrace.pipeline.checks import shorten
from headrace.records import GateResult, Metrics, SnapshotRecord, TrainingRecord
from headrace.stages.attempts import Attempt, attempts_of
from headrace.stages.evaluation.answers import AnsweredSplit
from headrace.state.home import Home
from headrace.state.store import Store
from headrace.tasks import difference, task

log = logging.getLogger("headrace")
Items = npt.NDArray[np.bytes_]


@dataclass
class Opponent:
    """The champion that a training is compared with, loaded.

    Args:
        model: the name of the pipeline.
        champion: the version to compare with; None if there is none.
        training: what is evaluated.
        home: has the pipeline's history, the models, snapshots and judged items.

    Attributes:
        models: the champion's Keras model by its version; empty where it cannot be
            compared with.
        note: why it cannot; else empty.
    """

    model: str
    champion: int | None
    training: TrainingRecord
    home: Home

    def __post_init__(self) -> None:
        self.models: dict[int, Any] = {}
        self.note = self._load(self.champion) if self.champion else ""

    def _load(self, number: int) -> str:
        """Load it; return why it cannot be compared with, if so."""
        name = f"the champion, version {number}"
        try:
            version = self.home.ledger.version(self.model, number)
            loaded = load_version(self.home.tracking, version)
        except IntegrityError as error:
            return f"{name}: {error.message}"
        own, its = self.training.description, loaded.description
        if field := difference(own, its):
            values = [shorten(repr(getattr(data, field, None))) for data in (its, own)]
            return (
                f"{name}, differs in {field} ({values[0]}, and not {values[1]}), so "
                "the two cannot be compared; promote by hand"
            )
        self.models[number] = loaded.model
        return ""

    def learned_from(self, items: Items) -> tuple[Flags, str]:
        """Which items it learned from, bool ``(n,)``; and why that is not known."""
        version = self.home.ledger.version(self.model, self.champion or 0)
        try:
            if snapshot := find_snapshot(self.home.store, version.snapshot_digest):
                return learned_from(snapshot, items), ""
        except IntegrityError:
            pass
        return np.zeros(len(items), bool), (
            f"the data that version {version.version} learned from is no longer in the "
            "store, so its training items could not be left out; this favours it"
        )


def compare(
    opponent: Opponent,
    gates: Sequence[GateSpec],
    answers: AnsweredSplit,
    rows: SplitRows,
) -> tuple[dict[str, GateResult], str, Metrics]:
    """Compare the answers, and store the digests of the judged items.

    Args:
        opponent: the champion.
        gates: those named ``champion`` decide; without one, the metrics are computed
            by the default gate.
        answers: of the challenger and of the champion.
        rows: of the test split.

    Returns:
        the verdicts by the name of the gate, the digest of the test items, and metrics
        for the evidence, from `champion_gate`.

    Raises:
        IntegrityError: the challenger's snapshot is damaged.
        DependencyError: the ledger or the store does not answer.
    """
    gates = [gate for gate in gates if gate.name == "champion"]
    home, training, champion = opponent.home, opponent.training, opponent.champion
    items = rows.items()
    rows_digest = keep_items(items, home.store)
    if champion is None or not opponent.models:
        verdicts = {gate.name: not_compared(gate, opponent.note) for gate in gates}
        return verdicts, rows_digest, {}
    attempts = attempts_of(home.ledger, opponent.model)
    own = Attempt(training.identity, champion, training.snapshot_digest, rows_digest)
    past = look_back(attempts, own, items, home.store)
    its, note = opponent.learned_from(items)
    trial = Challenge(
        own=Scored.of(answers.judged),
        other=answers.others[champion],
        champion=champion,
        compared=compared_rows(items, learned_from(rows.snapshot, items) | its),
        new=past.new,
        attempt=past.attempt,
        higher_is_better=task(rows.snapshot.description.task).higher_is_better,
        notes=(*filter(None, [past.note, note]),),
    )
    gate = gates[0] if gates else GateSpec.model_validate({"name": "champion"})
    verdict, metrics = champion_gate(gate, trial)
    return {gate.name: verdict} if gates else {}, rows_digest, metrics


def keep_items(items: Items, store: Store) -> str:
    """Store the distinct items of an evaluation, sha256 ``(n,)``.

    Returns:
        the digest of their file.
    """
    data = np.unique(items).tobytes()
    digest = hashlib.sha256(data).hexdigest()
    if _read(digest, store) is None:
        store.write(f"judged/{digest}.bin", data)
    return digest


def judged_items(digest: str, store: Store) -> Items | None:
    """The sorted items of an evaluation; None where they are lost.

    Where one was forgotten, they are those that `headrace forget` has left.
    """
    left = f"judged/{digest}.left.bin"
    items = _read(digest, store)
    if items is None and store.exists(left):
        return np.frombuffer(store.read(left), DIGEST)
    return items


def _read(digest: str, store: Store) -> Items | None:
    try:
        data = store.read(f"judged/{digest}.bin")
    except FileNotFoundError:
        return None
    if hashlib.sha256(data).hexdigest() != digest:
        return None
    return np.frombuffer(data, DIGEST)


@dataclass(frozen=True, slots=True)
class Past:
    """The earlier attempts, as they count for the present one.

    Attributes:
        new: whether each item is in no earlier attempt, bool ``(n,)``.
        attempt: the number of this attempt among those on any of the items.
        note: on items that the store has lost; else empty.
    """

    new: Flags
    attempt: int = 1
    note: str = ""


def look_back(
    attempts: Sequence[Attempt], own: Attempt, items: Items, store: Store
) -> Past:
    """Count the earlier attempts on any of these items.

    A repeated comparison keeps its number, by the order of the evidence in the ledger.
    A first evaluation, without a champion, is no attempt; its items are judged all the
    same.

    Args:
        attempts: all evidence of the model, oldest first.
        own: the present attempt.
        items: of the present attempt, ``(n,)``.
        store: has the items of the earlier ones.
    """
    earlier = attempts[: attempts.index(own)] if own in attempts else attempts
    new, shared, note = np.ones(len(items), bool), set[str](), ""
    for rows in dict.fromkeys(attempt.rows for attempt in earlier):
        judged = judged_items(rows, store)
        if judged is None:
            note = "no item counts as new, since the store has lost which were judged"
        again = judged is None or is_among(items, judged)
        if np.any(again):
            shared.add(rows)
            new &= ~np.asarray(again, bool)
    compared = {a for a in earlier if a.champion is not None and a.rows in shared}
    return Past(new, len(compared) + 1, note)


def learned_from(snapshot: SnapshotRecord, items: Items) -> Flags:
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


def compared_rows(items: Items, learned: Flags) -> Flags:
    """One row of each item that no model learned from, bool ``(n,)``.

    Args:
        items: the test items, ``(n,)``; a row copied many times is one item.
        learned: those that one of the models learned from.
    """
    first = np.zeros(len(items), bool)
    first[np.unique(items, return_index=True)[1]] = True
    return first & ~learned
