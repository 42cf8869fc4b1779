"""Checkpoints of a fit: all that it takes to go on and end with the same weights.

One file each, ``<step>.ckpt``: the sha256 of the rest, then an npz of the variables
(model, optimizer, random states) and of what is known of the epochs. Written
whole or not at all; one that is damaged, or not what the ledger recorded, is passed
over for the one before.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.anchored import AnchoredStore
from headrace.errors import DependencyError
from headrace.records import Metrics
from headrace.spec import TrainingSpec

KEPT = 2
COST_SHARE = 0.02
_SUFFIX = ".ckpt"
_SHA_BYTES = 32

Arrays = list[npt.NDArray[Any]]
log = logging.getLogger("headrace")


@dataclass(slots=True)
class Position:
    """How far a fit is.

    Attributes:
        epoch: the present one, from 0; the number of epochs when all are done.
        step: how many steps of it are done.
        total_steps: how many steps of all epochs are done.
        loss_sum: of the present epoch's steps so far.
        score_sum: of its rows so far.
        seconds: spent in it so far.
        cpu_seconds: of all threads, likewise.
        kept: the best epoch so far, from 1; 0 where there is none.
        lowest: its validation loss.
        epochs: the metrics of each finished one.
        callbacks: what each of the recipe's callbacks keeps.
        is_stopped: whether a callback has ended the fit.
        run_id: the MLflow run that wrote this.
        made_on: how the steps are computed, and by what machine.
    """

    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    loss_sum: float = 0.0
    score_sum: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    kept: int = 0
    lowest: float = float("inf")
    epochs: list[Metrics] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    is_stopped: bool = False
    run_id: str = ""
    made_on: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """In words."""
        return f"epoch {self.epoch + 1}, step {self.step}"


@dataclass(frozen=True, slots=True)
class State:
    """A checkpoint's content.

    Attributes:
        variables: of the model and the optimizer.
        best: the weights of the epoch that is kept so far; empty where there is none.
    """

    progress: Position
    variables: Arrays
    best: Arrays


class Checkpoints:
    """The checkpoints of one training.

    Args:
        store: where they are. Its ledger records each one.
        key: of their folder, different for each different training.
        spec: when they are written.
        machine: what tells this machine from those that may compute otherwise.

    Attributes:
        every_steps: steps between two; 0 where time decides.
        run_id: the MLflow run that writes them.
        resumed: where the fit went on, if it did.
    """

    def __init__(
        self,
        store: AnchoredStore,
        key: str,
        spec: TrainingSpec,
        machine: Mapping[str, str] | None = None,
    ) -> None:
        self._store, self._files = store, store.store
        self._folder = f"checkpoints/{key}"
        self._seconds = spec.checkpoint_seconds
        self.every_steps = spec.checkpoint_steps
        self.machine = dict(machine or {})
        self.run_id = ""
        self.resumed: Position | None = None
        self._saved_at = time.monotonic()
        self._cost = 0.0

    def is_due(self, total_steps: int) -> bool:
        """Whether to write one now; by time, at most ``COST_SHARE`` is spent on it."""
        if self.every_steps:
            return total_steps % self.every_steps == 0
        waited = time.monotonic() - self._saved_at
        least = max(self._seconds, self._cost / COST_SHARE)
        return bool(self._seconds) and waited >= least

    def save(self, state: State) -> None:
        """Write one; the two newest stay. Without the ledger there is no new one.

        Raises:
            DependencyError: the disk failed.
        """
        started = time.monotonic()
        state.progress.run_id = self.run_id
        key = f"{self._folder}/{state.progress.total_steps:012d}{_SUFFIX}"
        data = pack(state)
        try:
            self._store.ledger.anchor({key: hashlib.sha256(data).hexdigest()})
        except DependencyError as error:  # to train on is worth more
            log.warning("The checkpoint %s is left out: %s", key, error.message)
        else:
            # An equal training that is done takes the folder away at any moment.
            with contextlib.suppress(FileNotFoundError):
                self._files.write(key, data)
            for old in self._names()[:-KEPT]:
                self._files.delete(f"{self._folder}/{old}")
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started

    def load(
        self, like: Arrays, weights: int, made_on: Mapping[str, Any]
    ) -> State | None:
        """The newest whole one that a fit goes on from exactly.

        Args:
            like: the variables of a fit that has just been set up.
            weights: how many of them are the weights that are kept of an epoch.
            made_on: how and where the fit is computed; it must be the same.
        """
        for name in reversed(self._names()):
            state = self._read(name)
            problem = _problem(state, like, weights, made_on)
            if state is not None and not problem:
                self.resumed = copy.copy(state.progress)
                log.info("train: goes on from %s", self.resumed.place)
                return state
            log.warning("The checkpoint %s is passed over: %s.", name, problem)
        return None

    def clear(self) -> None:
        """Remove all of them: the training is done and recorded."""
        # An equal training may still write there, and what is left harms nobody.
        with contextlib.suppress(OSError, DependencyError):
            self._files.delete_folder(self._folder)

    def _names(self) -> list[str]:
        return [n for n in self._files.names(self._folder) if n.endswith(_SUFFIX)]

    def _read(self, name: str) -> State | None:
        try:
            data = self._store.read(f"{self._folder}/{name}")
            return None if data is None else unpack(data)
        except (ValueError, KeyError, TypeError):
            return None


def _problem(
    state: State | None, like: Arrays, weights: int, made_on: Mapping[str, Any]
) -> str:
    """Why a fit cannot go on from a checkpoint; empty where it can."""

    def forms(arrays: Sequence[npt.NDArray[Any]]) -> list[Any]:
        return [(array.dtype, array.shape) for array in arrays]

    if state is None:
        return "it is damaged, or not what the ledger recorded"
    then = state.progress.made_on
    other = sorted(
        name for name in {*then, *made_on} if then.get(name) != made_on.get(name)
    )
    if other:
        return f"it was computed otherwise ({', '.join(other)})"
    if forms(state.variables) != forms(like) or len(state.best) not in (0, weights):
        return "it is of another network"
    return ""


def pack(state: State) -> bytes:
    """A state as bytes."""
    buffer = io.BytesIO()
    facts = {
        name: getattr(state.progress, name) for name in state.progress.__slots__
    } | {"variables": len(state.variables), "best": len(state.best)}
    arrays = {
        "progress": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        **{f"variable_{i}": array for i, array in enumerate(state.variables)},
        **{f"best_{i}": array for i, array in enumerate(state.best)},
    }
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    data = buffer.getvalue()
    return hashlib.sha256(data).digest() + data


def unpack(content: bytes) -> State:
    """The state that was packed.

    Raises:
        ValueError, KeyError, TypeError: it is damaged.
    """
    digest, data = content[:_SHA_BYTES], content[_SHA_BYTES:]
    if hashlib.sha256(data).digest() != digest:
        raise ValueError("not what was written")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        facts = json.loads(arrays["progress"].tobytes())
        variables = [arrays[f"variable_{i}"] for i in range(facts.pop("variables"))]
        best = [arrays[f"best_{i}"] for i in range(facts.pop("best"))]
    return State(Position(**facts), variables, best)
