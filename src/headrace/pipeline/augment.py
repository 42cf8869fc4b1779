"""``[training.augment]``: how training varies items; each medium has its own fields."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal  # noqa: F401, media name it

from pydantic import ConfigDict, Field, create_model

from headrace.imports import extensions
from headrace.pipeline.tables import SpecTable


class _Augment(SpecTable):
    """``[training.augment]``: augmentation, which changes each item anew in each epoch.

    Items are changed in training steps alone, and nothing of it is in the saved model.
    What a row gets follows from (seed, epoch, row), so that a training resumes exactly.
    """

    model_config = ConfigDict(strict=True)  # true is no alpha of mixup


def augment_fields(medium: str) -> dict[str, Any]:
    """The fields that a medium has here, from its constant `AUGMENT`; it may be none.

    Each is a type, as Python writes it, and the arguments of pydantic's ``Field``.
    """
    module = extensions.modules("media")[medium]
    return extensions.constant(module, "AUGMENT") or {}


def _of_all_media() -> dict[str, Any]:
    return {
        name: (kind, Field(exclude_if=operator.not_, **facts))
        for medium in extensions.modules("media")
        for name, (kind, facts) in augment_fields(medium).items()
    }


if TYPE_CHECKING:

    class AugmentSpec(_Augment):
        """As below; a field of a medium may be of any type."""

        def __getattr__(self, name: str) -> Any:
            """A field of a medium."""

else:
    AugmentSpec = create_model(
        "AugmentSpec",
        __base__=_Augment,
        __module__=__name__,
        __doc__=_Augment.__doc__,
        **_of_all_media(),
    )


def find_misfit(augment: AugmentSpec, medium: str, task: str) -> str:
    """Why items of a medium cannot be varied so for a task; empty where they can."""
    own = augment_fields(medium)
    reasons = extensions.task_default(task, "NOT_AUGMENTED") or {}
    for field in augment.model_dump():
        if why := reasons.get("", reasons.get(field, "")):
            return f"training.augment.{field}: {why}; leave it out"
        if field not in own:
            has = f"has {', '.join(own)}" if own else "has no augmentation"
            return (
                f"training.augment.{field} means nothing to {medium}, which {has}; "
                "leave it out"
            )
    return ""


def suggested(medium: str, task: str) -> dict[str, Any]:
    """Usual values of the fields that suit a medium and a task, for `headrace new`."""
    usual = {
        name: facts["examples"][0]
        for name, (_, facts) in augment_fields(medium).items()
        if "examples" in facts
    }
    return {
        name: value
        for name, value in usual.items()
        if not find_misfit(AugmentSpec.model_validate({name: value}), medium, task)
    }


def used_by_new(medium: str, task: str) -> tuple[str, ...]:
    """The fields that `headrace new` sets for few items, from a medium's `AUGMENTED`.

    There are none where the task refuses a field: what is learned of an item may be
    what the others change, such as a size.
    """
    if extensions.task_default(task, "NOT_AUGMENTED"):
        return ()
    module = extensions.modules("media")[medium]
    return extensions.constant(module, "AUGMENTED") or ()
