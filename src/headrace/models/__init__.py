"""Keras model builders, one file for each family, and how a builder is found.

A builder is a function ``build(data: DataDescription, **arguments)`` that returns
``(preprocessing, network)``. These are two Keras models: the first converts raw items
to the network's input, the second computes what the task learns. Their composition is
saved.

The builder's module says with ``YIELDS`` what kind of network it is. A ``vector`` is a
body with outputs ``(batch, features)``, a ``sequence`` one with ``(batch, steps,
features)``; the task adds the head, and the module's ``HEAD`` has options for its dense
layer. A network of another kind, or of a builder without ``YIELDS``, is a whole one,
and the task checks it. Each task takes one kind.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from headrace.errors import SpecError, UsageError, did_you_mean
from headrace.imports import extensions
from headrace.pipeline import PipelineSpec
from headrace.pipeline.families import default_builder, family_medium, family_yields
from headrace.pipeline.fields import quoted_number
from headrace.records import DataDescription
from headrace.tasks import task

if TYPE_CHECKING:
    from headrace.tasks.forms import Lazy, Targets

Builder = Callable[..., tuple[Any, Any]]
_IMPORTING = threading.RLock()
_BODIES = {"vector": "(batch, features)", "sequence": "(batch, steps, features)"}


def builder_names(medium: str = "", takes: str = "") -> list[str]:
    """The names of the families, of one medium and one kind or of all."""
    return [
        name
        for name in extensions.modules("models")
        if (not medium or family_medium(name) in ("", medium))
        and (not takes or family_yields(name) in ("", takes))
    ]


def builder_name(spec: PipelineSpec) -> str:
    """The builder that a pipeline names, else its medium's or its task's default.

    Raises:
        SpecError: the family is for another medium, or for other tasks.
    """
    name = spec.model.builder or default_builder(spec.medium, spec.task)
    takes = task(spec.task).takes
    if family_medium(name) not in ("", spec.medium):
        problem = f"is a family for {family_medium(name)}, and this pipeline's medium "
        problem += f"is {spec.medium}"
    elif family_yields(name) not in ("", takes):
        problem = f'is a family for other tasks: it yields "{family_yields(name)}", '
        problem += f'and {spec.task} takes "{takes}"'
    else:
        return name
    families = ", ".join(builder_names(spec.medium, takes)) or "none"
    raise SpecError(
        f"model.builder = {name!r} {problem}.",
        f"Families for {spec.task} of {spec.medium}: {families}.",
    )


def find_builder(name: str, folder: Path | None = None) -> Builder:
    """The builder called ``name``.

    Args:
        name: a family here (``mlp``), a function in a file of the pipeline's folder
            (``model:build``), or any importable one (``package.module:function``).
        folder: the pipeline's folder.

    Raises:
        SpecError: there is no such builder, or it cannot be imported.
    """
    if not name.isidentifier():
        return find_function("model.builder", name, folder)
    module_of(name)
    return extensions.load("models", name).build  # type: ignore[no-any-return]


def module_of(name: str) -> str:
    """The module of a family, which is not imported.

    Raises:
        SpecError: there is no such family.
    """
    if name not in builder_names():
        families = f"Families: {', '.join(builder_names())}."
        raise SpecError(
            f"model.builder = {name!r}: there is no such model family.",
            did_you_mean(name, builder_names(), families, cutoff=0.4),
        )
    return extensions.modules("models")[name]


def find_function(field: str, name: str, folder: Path | None) -> Callable[..., Any]:
    """A function that a pipeline file names.

    Args:
        field: of the file, for messages.
        name: ``module:function``, in the pipeline's folder or importable.
        folder: the pipeline's folder.

    Raises:
        SpecError: there is no such function, or it cannot be imported.
    """
    module_name, separator, function = name.replace(":", ".").rpartition(".")
    if not separator:
        raise SpecError(
            f"{field} = {name!r} names no function.", "Write module:function."
        )
    if module_name and PurePath(module_name).name != module_name:
        raise SpecError(
            f"{field} = {name!r} is a path.",
            "Put its file into the pipeline's folder, and write module:function.",
        )
    try:
        value = getattr(_import(module_name, folder), function)
    except (Exception, SystemExit) as error:  # whatever the user's own file raises
        raise SpecError(
            f"{field} = {name!r} cannot be imported: {error}.",
            f"Put {module_name}.py with a function {function} into the pipeline's "
            "folder, or install the package that has it."
            if "." not in module_name
            else "Install the package that has it.",
        ) from error
    if not callable(value):
        raise SpecError(f"{field} = {name!r} is not a function.")
    return value  # type: ignore[no-any-return]


def _import(name: str, folder: Path | None) -> Any:
    """A module, which is executed once for each content of a folder's file."""
    path = folder / f"{name}.py" if folder else None
    if path is None or not path.is_file():
        return importlib.import_module(name)
    path = path.resolve()
    content = hashlib.sha256(f"{path}\n".encode() + path.read_bytes()).hexdigest()
    full_name = f"headrace_pipeline_{name}_{content[:16]}"
    with _IMPORTING:  # or another thread gets a module that is half executed
        if full_name in sys.modules:
            return sys.modules[full_name]
        spec = importlib.util.spec_from_file_location(full_name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[full_name] = module  # where a dataclass looks up its own module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[full_name]
            raise
        return module


def arguments_of(name: str) -> set[str]:
    """The names of the arguments that a builder takes; see `find_builder`."""
    return set(list(inspect.signature(find_builder(name)).parameters)[1:])


def check_arguments(name: str, builder: Builder, arguments: dict[str, Any]) -> None:
    """Refuse arguments that the builder does not have, and numbers in quotes.

    Raises:
        SpecError: with the nearest valid name, or the number.
    """
    parameters = list(inspect.signature(builder).parameters.values())[1:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    valid = [p.name for p in parameters]
    for argument in arguments:
        if argument not in valid:
            raise SpecError(
                f"model.arguments.{argument}: the builder {name} takes no such "
                "argument.",
                did_you_mean(argument, valid, f"It takes: {', '.join(valid)}."),
            )
    for parameter in parameters:
        value = arguments.get(parameter.name)
        if (number := quoted_number(value)) and _takes_numbers(parameter):
            raise SpecError(
                f"model.arguments.{parameter.name} = {value!r}: the builder {name} "
                "takes numbers.",
                f"Write {number} without quotes.",
            )


def _takes_numbers(parameter: inspect.Parameter) -> bool:
    """Whether a parameter is for numbers alone, by its annotation or its default."""
    default = parameter.default
    first = default[0] if isinstance(default, list | tuple) and default else default
    told = str(parameter.annotation)
    is_told = "str" not in told and re.search(r"\b(int|float)\b", told) is not None
    return is_told or isinstance(first, int | float)


def no_targets() -> Targets:
    """An empty sample of targets, for a network that is not trained."""
    import numpy as np

    return np.empty(0)


def build(
    name: str,
    data: DataDescription,
    arguments: dict[str, Any],
    folder: Path | None = None,
    targets: Lazy = no_targets,
) -> tuple[Any, Any]:
    """Call a builder, add the task's head, and check that the network fits the data.

    Args:
        name: of the builder.
        data: the description of the data that the model learns from.
        arguments: of the builder.
        folder: the pipeline's folder.
        targets: returns a sample of the training targets, for the head.

    Returns:
        (preprocessing, network), both built Keras models.

    Raises:
        SpecError: wrong arguments, or the network's output does not fit the task.
        UsageError: the builder's own.
    """
    builder = find_builder(name, folder)
    check_arguments(name, builder, arguments)
    learned = task(data.task).head
    try:
        preprocessing, network = builder(data, **arguments)
        if not learned.HAS_EXAMPLES:  # else it takes these
            network(preprocessing.outputs[0])
        _ = network.outputs[0]
    except UsageError:  # it says what to do
        raise
    except (Exception, SystemExit) as error:  # whatever the user's builder raises
        raise SpecError(
            f"The builder {name} failed on items of shape {data.shape}: {error}.",
            "It must return (preprocessing, network), two built Keras models.",
        ) from error
    module = getattr(inspect.unwrap(builder), "__globals__", {})
    yields, takes = module.get("YIELDS", ""), task(data.task).takes
    if yields:
        _check_kind(name, tuple(network.outputs[0].shape), yields, takes)
    if yields in _BODIES:
        layers = learned.head(data, targets, module.get("HEAD", {}))
        network = _with_head(network, layers)
    learned.check_network(network, data, name)
    return preprocessing, network


def _check_kind(
    name: str, shape: tuple[int | None, ...], yields: str, takes: str
) -> None:
    """Refuse a network that is not of the kind that the task takes, or not as it says.

    Raises:
        SpecError: it is of another kind, or its output is of another shape.
    """
    if yields != takes:
        raise SpecError(
            f'{name} has YIELDS = "{yields}", and the task takes a {takes}.',
            f"Families that yield one: {', '.join(builder_names(takes=takes))}.",
        )
    wanted = _BODIES.get(yields)
    if wanted and (len(shape) != wanted.count(",") + 1 or shape[-1] is None):
        raise SpecError(
            f'The body {name} gives {shape}; YIELDS = "{yields}" means {wanted}.',
            "Pool or flatten it." if yields == "vector" else "Keep its steps.",
        )


def _with_head(body: Any, layers: Sequence[Any]) -> Any:
    """The body with the head's layers on top, under the body's name."""
    import keras

    if isinstance(body, keras.Sequential):
        for layer in layers:
            body.add(layer)
        return body
    outputs = functools.reduce(lambda x, layer: layer(x), layers, body.outputs[0])
    return keras.Model(body.inputs, outputs, name=body.name)


def compose(data: DataDescription, preprocessing: Any, network: Any) -> Any:
    """The model that is saved, not compiled: from raw questions to answers."""
    return task(data.task).head.compose(preprocessing, network, data)
