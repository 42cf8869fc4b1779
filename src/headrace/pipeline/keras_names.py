"""Names of Keras's objects, and of functions of one's own, in a pipeline file."""

from __future__ import annotations

import ast
import difflib
import functools
from typing import Any

from pydantic import Field

from headrace.imports import extensions
from headrace.pipeline.fields import quoted_number
from headrace.pipeline.tables import WithArguments

_MODULES = {
    "optimizer": "keras.optimizers",
    "schedule": "keras.optimizers.schedules",
    "loss": "keras.losses",
    "metrics": "keras.metrics",
    "callbacks": "keras.callbacks",
}
OFFERED = {
    "schedule": ("constant", "cosine"),
    "callbacks": ("LearningRateScheduler", "ReduceLROnPlateau"),
}
_NOTOFFERED = {  # base classes, and classes that take other objects
    *("get", "serialize", "deserialize", "Loss", "Metric", "Optimizer"),
    *("LearningRateSchedule", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"),
    *("legacy", "schedules"),
}
_ALIASES = {"mse": "mean_squared_error", "mae": "mean_absolute_error"}


class Named(WithArguments):
    """The name of an object; all other keys are its arguments."""

    name: str = Field(description="of Keras, such as adamw, or module:function")


def named(choice: str | Named) -> Named:
    """A choice as a table with a name and arguments."""
    return Named(name=choice) if isinstance(choice, str) else choice


def is_own(name: str) -> bool:
    """Whether a name is of a function of the user, such as ``losses:focal``."""
    return not name.isidentifier()


def keras_name(kind: str, name: str) -> tuple[str, str]:
    """Keras's module and name of an object.

    Args:
        kind: the field, such as ``optimizer``.
        name: in any case: ``adamw`` is ``AdamW``.

    Raises:
        ValueError: Keras has no such object; the message has the nearest names.
    """
    names = _names(kind)
    exact = _ALIASES.get(name, name)
    if exact in names:
        return _MODULES[kind], exact
    lower = {cased.lower(): cased for cased in reversed(names)}
    if exact.lower() in lower:
        return _MODULES[kind], lower[exact.lower()]
    near = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)
    nearest = ", ".join([lower[match] for match in near] or names)
    hint = "near it" if near else "it has"
    raise ValueError(
        f"{_MODULES[kind]} has no such name; {hint}: {nearest}; a function of your own "
        "is module:function"
    )


@functools.cache
def _names(kind: str) -> tuple[str, ...]:
    """The names that a field takes, read from Keras's files without an import."""
    if kind == "callbacks":
        return OFFERED[kind]
    code = extensions.path_of(_MODULES[kind]).read_text(encoding="utf-8")
    imports = (n for n in ast.parse(code).body if isinstance(n, ast.ImportFrom))
    names = [alias.asname or alias.name for node in imports for alias in node.names]
    return tuple(name for name in names if name not in _NOTOFFERED)


def check_choice(kind: str, choice: Any) -> Any:
    """Reject a choice of another form, with an unknown name or a number in quotes."""
    name = choice.get("name") if isinstance(choice, dict) else choice
    name = choice.name if isinstance(choice, Named) else name
    if not isinstance(name, str):
        raise ValueError("write a name, or a table with a name and arguments")
    arguments = choice if isinstance(choice, dict) and not is_own(name) else {}
    for key, value in arguments.items():
        if number := quoted_number(value):
            text = f"{name} has {key} = {value!r}: write {number} without quotes"
            raise ValueError(text)
    if not is_own(name) and name not in OFFERED.get(kind, ("sgd", "adam")):
        keras_name(kind, name)
    return choice
