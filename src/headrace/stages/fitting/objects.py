"""Makes the objects of Keras or of the user that ``[training]`` names."""

from __future__ import annotations

import functools
import importlib
import inspect
from pathlib import Path
from typing import Any

from headrace.errors import SpecError
from headrace.models import find_function
from headrace.spec.training import Named, is_own, keras_name, named


def make(kind: str, choice: str | Named, folder: Path, *given: Any) -> Any:
    """Make the object that a field names, with its arguments.

    Args:
        kind: the field, such as ``optimizer``.
        choice: its value.
        folder: of the pipeline, with the user's functions.
        given: the first arguments.

    Raises:
        SpecError: there is no such object, or it rejects the arguments.
    """
    choice = named(choice)
    field, arguments = f"training.{kind}", choice.arguments
    factory = _find(kind, choice.name, folder)
    if kind == "callbacks" and choice.name == "LearningRateScheduler":
        schedule = str(arguments.get("schedule", ""))
        arguments["schedule"] = find_function(f"{field}.schedule", schedule, folder)
    try:
        return factory(*given, **arguments)
    except (Exception, SystemExit) as error:  # whatever the user's own code raises
        raise SpecError(
            f"{field} = {choice.name!r} cannot be made: {error}.",
            "Mend its arguments.",
        ) from error


def make_measure(kind: str, choice: str | Named, folder: Path) -> Any:
    """A loss or a metric: an object of a class, or a function with its arguments.

    Raises:
        SpecError: as `make` does.
    """
    choice = named(choice)
    measure = _find(kind, choice.name, folder)
    if inspect.isclass(measure):
        return make(kind, choice, folder)
    return functools.partial(measure, **choice.arguments)


def _find(kind: str, name: str, folder: Path) -> Any:
    if is_own(name):
        return find_function(f"training.{kind}", name, folder)
    module, known = keras_name(kind, name)
    return getattr(importlib.import_module(module), known)
