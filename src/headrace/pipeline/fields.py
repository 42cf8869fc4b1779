"""Fields of the pipeline file and of the settings, with their descriptions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from operator import eq
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationInfo
from pydantic_core import PydanticCustomError

from headrace.settings import option

T = TypeVar("T")


def added(default: T, description: str, **limits: Any) -> T:
    """An option that is in no digest while it has its default.

    So the digests of what was recorded before there was such a field stay.
    """
    return option(default, description, exclude_if=partial(eq, default), **limits)


def share(default: float, description: str, below: float = 1) -> float:
    """A field for a share: at least 0, and below 1 or another bound."""
    return option(default, description, ge=0, lt=below)


def unquoted(cls: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
    """Refuse a number, true or false in quotes, which pydantic would convert.

    A validator of all fields, before their own.
    """
    kinds = _kinds(cls.model_fields[info.field_name or ""].annotation)
    plain = quoted_number(value) if kinds & {int, float} else ""
    wanted = "number"
    if bool in kinds and isinstance(value, str):
        plain, wanted = "true or false", "truth value"
    if plain and str not in kinds:
        text = "text is not a valid {wanted}: write {plain} without quotes"
        raise PydanticCustomError("quoted", text, {"plain": plain, "wanted": wanted})
    return value


def _kinds(annotation: Any) -> set[Any]:
    """The types that a union, or the items of a list, may be of."""
    kinds = [_kinds(one) for one in get_args(annotation)]
    return set().union(*kinds) if kinds else {annotation}


def quoted_number(value: Any) -> str:
    """The number that is a text, or the first such in a list; empty if there is none.

    As TOML writes it: ``0.5`` for ``".5"``.
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return next(filter(None, map(quoted_number, value)), "")
    for kind in (int, float) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            return str(kind(value))
    return ""
