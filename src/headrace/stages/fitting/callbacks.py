"""Keras's callbacks, called around epochs and stored in checkpoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import Refusal, SpecError
from headrace.pipeline import TrainingSpec
from headrace.pipeline.keras_names import named
from headrace.records import Metrics
from headrace.stages.fitting.recipe import make

State = dict[str, Any]
_OF_STEPS = [f"on_{of}batch_{at}" for of in ("", "train_") for at in ("begin", "end")]
_OF_KERAS = {"_model", "_params", "params", "validation_data"}


class _Fitted:
    """A stand-in for the network, with an optimizer and ``stop_training``.

    Set on the network itself, the optimizer would be saved with the model.
    """

    def __init__(self, network: Any, optimizer: Any) -> None:
        self._network, self.optimizer, self.stop_training = network, optimizer, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


class Callbacks:
    """The callbacks of a fit.

    Checkpoints store the attributes of a callback that are JSON, so that it resumes
    with the fit.

    Args:
        spec: names the callbacks.
        folder: of the pipeline.
        network: the fitted one.
        optimizer: of the network.

    Raises:
        SpecError: one cannot be made, is not a callback, or has a hook for each step.
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

    def begin(self, states: Sequence[State]) -> None:
        """Begin the fit, or resume it with the states of a checkpoint."""
        self._call("on_train_begin")
        for callback, state in zip(self._callbacks, states, strict=False):
            if getattr(callback, "monitor_op", "") is None:
                # Keras sets both after an epoch, and the second by negating it.
                state.pop("min_delta", None)
            vars(callback).update(state)

    def begin_epoch(self, epoch: int) -> None:
        """Call the hooks before an epoch, from 0."""
        self._call("on_epoch_begin", epoch)

    def end_epoch(self, epoch: int, metrics: Metrics) -> bool:
        """Call the hooks after an epoch; return whether a callback stops the fit."""
        own = {key.removeprefix("train_"): value for key, value in metrics.items()}
        self._call("on_epoch_end", epoch, logs={**metrics, **own})
        return bool(self._fitted.stop_training)

    def end(self) -> None:
        """Call the hooks at the end of the fit."""
        self._call("on_train_end")

    def _call(self, hook: str, *epoch: int, logs: Metrics | None = None) -> None:
        for callback in self._callbacks:
            try:
                getattr(callback, hook)(*epoch, dict(logs or {}))
            except Exception as error:  # whatever the user's own code raises
                raise Refusal(
                    f"The callback {type(callback).__name__} failed in {hook}: "
                    f"{type(error).__name__}: {error}.",
                    "Mend it, or leave it out of training.callbacks.",
                ) from error

    def states(self) -> list[State]:
        """The state of each callback, for a checkpoint."""
        return [self._state(callback) for callback in self._callbacks]

    def _state(self, callback: Any) -> State:
        state = {}
        for name, value in vars(callback).items():
            plain = value.item() if isinstance(value, np.generic) else value
            if name in _OF_KERAS or callable(value):
                continue
            if _is_json(plain):
                state[name] = plain
        return state


def _check(name: str, callback: Any) -> None:
    from keras.callbacks import Callback

    if not isinstance(callback, Callback):
        raise SpecError(
            f"training.callbacks = {name!r} gives a {type(callback).__name__}, and not "
            "a keras.callbacks.Callback.",
            "Return a callback.",
        )
    for hook in _OF_STEPS:
        if getattr(type(callback), hook) is not getattr(Callback, hook):
            raise SpecError(
                f"training.callbacks = {name!r} has {hook}, which cannot be called: "
                "many steps are one compiled call.",
                "Do its work in on_epoch_begin or on_epoch_end.",
            )


def _is_json(value: Any) -> bool:
    try:
        text = json.dumps(value)
        return json.dumps(json.loads(text)) == text and not isinstance(value, tuple)
    except (TypeError, ValueError):
        return False
