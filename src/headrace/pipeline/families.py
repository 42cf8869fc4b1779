"""What media, tasks and families of models say of themselves, read as text."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from headrace.errors import SpecError, did_you_mean
from headrace.imports.extensions import constant, modules, task_default
from headrace.pipeline.training import TrainingSpec
from headrace.records import DEFAULT_TASK


def media_names() -> list[str]:
    """All media, of ``headrace.media`` and of entry points."""
    return list(modules("media"))


def task_names() -> list[str]:
    """All tasks, of ``headrace.tasks`` and of entry points."""
    return list(modules("tasks"))


def default_builder(medium: str, task: str = DEFAULT_TASK) -> str:
    """The default family of models of a medium, or of a task's own for it."""
    own = task_default(task, "BUILDERS") or {}
    return str(own.get(medium) or constant(modules("media")[medium], "DEFAULT_BUILDER"))


def family_medium(builder: str) -> str:
    """The medium of a family; empty where there is no such family.

    Raises:
        SpecError: the family does not say it.
    """
    module = modules("models").get(builder)
    return str(constant(module, "MEDIUM", '"image"')) if module else ""


def recipe_of(
    medium: str, builder: str, task: str = DEFAULT_TASK, arguments: Any = None
) -> dict[str, Any]:
    """The measured training defaults of a family; none for other builders.

    Fields without a meaning for the task are left out.

    Args:
        arguments: of the builder. Some may need other values: a family's ``RECIPES``
            are tuples of an argument, its values up to a colon, and what differs then.

    Raises:
        SpecError: the family has no recipe, or one that does not fit `TrainingSpec`.
    """
    builder = builder or default_builder(medium, task)
    module = modules("models").get(builder)
    if module is None or family_medium(builder) not in ("", medium):
        return {}
    recipe = constant(module, "RECIPE", '{"epochs": 4}')
    given = arguments if isinstance(arguments, dict) else {}
    for name, kinds, other in constant(module, "RECIPES") or ():
        if str(given.get(name)).partition(":")[0] in kinds:
            recipe = recipe | other
    try:
        TrainingSpec.model_validate(recipe)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        if wrong["type"] != "extra_forbidden":
            message = f"RECIPE has {key} = {wrong['input']!r}: {wrong['msg']}."
            raise SpecError(f"{module}: {message}", "Mend that package.") from None
        names = TrainingSpec.model_fields
        raise SpecError(
            f"{module}: RECIPE has the unknown key {key}.",
            did_you_mean(key, names, f"Valid names: {', '.join(names)}."),
        ) from None
    unused = unused_fields(task)
    return {k: v for k, v in recipe.items() if f"training.{k}" not in unused}


def family_yields(builder: str) -> str:
    """What the network of a family yields, such as ``vector``; may be empty."""
    module = modules("models").get(builder)
    return str(constant(module, "YIELDS") or "") if module else ""


def unused_fields(task: str) -> tuple[str, ...]:
    """Fields without a meaning for a task, such as ``training.calibrate``."""
    return tuple(task_default(task, "UNUSED"))


def least_steps(builder: str) -> int:
    """The training steps that a family needs to converge, however few the rows."""
    return int(constant(modules("models")[builder], "LEAST_STEPS") or 0)
