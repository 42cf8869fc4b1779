"""Checkpoints of a fit, from which it resumes and ends with the same weights.

A checkpoint is a file ``<step>.ckpt``: a sha256, then an npz with the variables (model,
optimizer, random states) and the position. It is written atomically. A checkpoint that
is damaged is skipped for the one before.
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

from headrace.errors import DependencyError
from headrace.pipeline import TrainingSpec
from headrace.records import Metrics
from headrace.state.store import Store

KEPT = 2
COST_SHARE = 0.02
_SUFFIX = ".ckpt"
_SHA_BYTES = 32

Arrays = list[npt.NDArray[Any]]
log = logging.getLogger("headrace")


@dataclass(slots=True)
class Position:
    """The position of a fit.

    Attributes:
        epoch: the present one, from 0; the number of epochs at the end.
        step: the number of its steps that are done.
        total_steps: the number of steps of all epochs that are done.
        loss_sum: of the present epoch's steps.
        score_sum: of the present epoch's rows.
        seconds: of the present epoch.
        cpu_seconds: of all threads in the present epoch.
        kept: the best epoch, from 1; 0 where there is none.
        lowest: the validation loss of the best epoch.
        epochs: the metrics of each finished one.
        callbacks: the state of each callback.
        is_stopped: whether a callback has stopped the fit.
        run_id: the MLflow run that wrote this.
        made_on: the execution and the machine.
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
        """The epoch and the step, as text."""
        return f"epoch {self.epoch + 1}, step {self.step}"


@dataclass(frozen=True, slots=True)
class State:
    """A checkpoint's content.

    Attributes:
        variables: of the model and the optimizer.
        best: the weights of the best epoch; empty where there is none.
    """

    progress: Position
    variables: Arrays
    best: Arrays


class Checkpoints:
    """The checkpoints of one training.

    Args:
        store: where they are kept.
        key: of their folder, one for each different training.
        spec: the intervals.
        machine: facts of this machine that may change results.

    Attributes:
        every_steps: steps between two; 0 where time decides.
        run_id: the MLflow run that writes them.
        resumed: the position from which the fit resumed, if it did.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        spec: TrainingSpec,
        machine: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._folder, self._seconds = f"checkpoints/{key}", spec.checkpoint_seconds
        self.every_steps = spec.checkpoint_steps
        self.machine, self.run_id = dict(machine or {}), ""
        self.resumed: Position | None = None
        self._saved_at, self._cost = time.monotonic(), 0.0

    def is_due(self, total_steps: int) -> bool:
        """Whether to write one; by time, at most ``COST_SHARE`` is spent on it."""
        if self.every_steps:
            return total_steps % self.every_steps == 0
        waited = time.monotonic() - self._saved_at
        least = max(self._seconds, self._cost / COST_SHARE)
        return bool(self._seconds) and waited >= least

    def save(self, state: State) -> None:
        """Write one, and delete all but the two newest.

        Raises:
            DependencyError: the disk failed.
        """
        started = time.monotonic()
        state.progress.run_id = self.run_id
        key = f"{self._folder}/{state.progress.total_steps:012d}{_SUFFIX}"
        data = pack(state)
        # An equal training that ends deletes the folder at any moment.
        with contextlib.suppress(FileNotFoundError):
            self._store.write(key, data)
        for old in self._names()[:-KEPT]:
            self._store.delete(f"{self._folder}/{old}")
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started

    def load(self, like: Arrays, weights: int, made_on: dict[str, Any]) -> State | None:
        """The newest checkpoint from which a fit resumes exactly.

        Args:
            like: the variables of the new fit.
            weights: the number of weights of the network.
            made_on: the execution and the machine, which must be equal.
        """
        for name in reversed(self._names()):
            state, key = None, f"{self._folder}/{name}"
            with contextlib.suppress(
                FileNotFoundError, ValueError, KeyError, TypeError
            ):
                state = unpack(self._store.read(key))
            problem = _problem(state, like, weights, made_on)
            if state is not None and not problem:
                self.resumed = copy.copy(state.progress)
                log.info("train: goes on from %s", self.resumed.place)
                return state
            log.warning("The checkpoint %s is skipped: %s.", name, problem)
        return None

    def clear(self) -> None:
        """Delete all of them: the training is done and recorded."""
        # An equal training may still write there; left-over files do no harm.
        with contextlib.suppress(OSError, DependencyError):
            self._store.delete_folder(self._folder)

    def _names(self) -> list[str]:
        return [n for n in self._store.names(self._folder) if n.endswith(_SUFFIX)]


def _problem(
    state: State | None, like: Arrays, weights: int, made_on: Mapping[str, Any]
) -> str:
    """Why a fit cannot resume from a checkpoint; empty where it can."""

    def forms(arrays: Sequence[npt.NDArray[Any]]) -> list[Any]:
        return [(array.dtype, array.shape) for array in arrays]

    if state is None:
        return "it is damaged"
    then = state.progress.made_on
    changed = {n for n in {*then, *made_on} if then.get(n) != made_on.get(n)}
    if changed:
        return f"it was computed under other conditions ({', '.join(sorted(changed))})"
    if forms(state.variables) != forms(like) or len(state.best) not in (0, weights):
        return "it belongs to another network"
    return ""


def pack(state: State) -> bytes:
    """A state as bytes."""
    buffer = io.BytesIO()
    facts = {name: getattr(state.progress, name) for name in Position.__slots__}
    facts |= {"variables": len(state.variables), "best": len(state.best)}
    arrays = {
        "progress": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        **{f"variable_{i}": array for i, array in enumerate(state.variables)},
        **{f"best_{i}": array for i, array in enumerate(state.best)},
    }
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    data = buffer.getvalue()
    return hashlib.sha256(data).digest() + data


def unpack(content: bytes) -> State:
    """The state of `pack`.

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
