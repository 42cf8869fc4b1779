"""Keras's callbacks in an exact loop: called around epochs, kept in checkpoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import Refusal, SpecError
from headrace.records import Metrics
from headrace.spec import TrainingSpec, named
from headrace.stages.fitting.objects import make

State = dict[str, Any]
_OF_STEPS = (
    *("on_batch_begin", "on_batch_end"),
    *("on_train_batch_begin", "on_train_batch_end"),
)
_OF_KERAS = {"_model", "_params", "params", "validation_data"}


class _Fitted:
    """The network as a callback knows it: with its optimizer, and a way to stop.

    Not the network itself, which would be saved with its optimizer.
    """

    def __init__(self, network: Any, optimizer: Any) -> None:
        self._network, self.optimizer, self.stop_training = network, optimizer, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


class Callbacks:
    """The callbacks of a fit.

    What a callback keeps in attributes that are JSON is in each checkpoint, so that a
    fit that goes on is the one that was cut off.

    Args:
        spec: names them.
        folder: of the pipeline.
        network: what is fitted.
        optimizer: its own.

    Attributes:
        inexact: attributes that no checkpoint holds, such as ``Tracker.model_copy``.

    Raises:
        SpecError: one cannot be made, is no callback, or wants to see each step.
    """

    def __init__(
        self, spec: TrainingSpec, folder: Path, network: Any, optimizer: Any
    ) -> None:
        self._fitted = _Fitted(network, optimizer)
        self._callbacks = []
        for choice in spec.callbacks:
            callback = make("callbacks", choice, folder)
            _check(named(choice).name, callback)
            callback.set_params({"epochs": spec.epochs, "verbose": 0})
            callback.set_model(self._fitted)
            self._callbacks.append(callback)
        self.inexact: set[str] = set()

    def begin(self, states: Sequence[State]) -> None:
        """Begin the fit, or go on with the states of a checkpoint."""
        self._call("on_train_begin")
        for callback, state in zip(self._callbacks, states, strict=False):
            if getattr(callback, "monitor_op", "") is None:
                # Keras sets both after an epoch, and the second by negating it.
                state.pop("min_delta", None)
            vars(callback).update(state)

    def begin_epoch(self, epoch: int) -> None:
        """Call them before an epoch, from 0."""
        self._call("on_epoch_begin", epoch)

    def end_epoch(self, epoch: int, metrics: Metrics) -> bool:
        """Call them after an epoch; gives whether one wants to stop."""
        own = {key.removeprefix("train_"): value for key, value in metrics.items()}
        self._call("on_epoch_end", epoch, logs={**metrics, **own})
        return bool(self._fitted.stop_training)

    def end(self) -> None:
        """End the fit."""
        self._call("on_train_end")
        self.states()  # names what is inexact, where no checkpoint was written

    def _call(self, hook: str, *given: int, logs: Metrics | None = None) -> None:
        for callback in self._callbacks:
            try:
                getattr(callback, hook)(*given, dict(logs or {}))
            except Exception as error:  # whatever the user's own code raises
                raise Refusal(
                    f"The callback {type(callback).__name__} failed in {hook}: "
                    f"{type(error).__name__}: {error}.",
                    "Mend it, or leave it out of training.callbacks.",
                ) from error

    def states(self) -> list[State]:
        """What a checkpoint holds of them."""
        return [self._state(callback) for callback in self._callbacks]

    def _state(self, callback: Any) -> State:
        state = {}
        for name, value in vars(callback).items():
            plain = value.item() if isinstance(value, np.generic) else value
            if name in _OF_KERAS or callable(value):
                continue
            if _is_json(plain):
                state[name] = plain
            else:
                self.inexact.add(f"{type(callback).__name__}.{name}")
        return state


def _check(name: str, callback: Any) -> None:
    from keras.callbacks import Callback

    if not isinstance(callback, Callback):
        raise SpecError(
            f"training.callbacks = {name!r} gives a {type(callback).__name__}, and not "
            "a keras.callbacks.Callback.",
            "Return one.",
        )
    for hook in _OF_STEPS:
        if getattr(type(callback), hook) is not getattr(Callback, hook):
            raise SpecError(
                f"training.callbacks = {name!r} has {hook}, and many steps are one "
                "compiled call here.",
                "Do its work in on_epoch_begin or on_epoch_end.",
            )


def _is_json(value: Any) -> bool:
    try:
        text = json.dumps(value)
        return json.dumps(json.loads(text)) == text and not isinstance(value, tuple)
    except (TypeError, ValueError):
        return False
