"""Fields of the pipeline file and of the settings, with their descriptions."""

from __future__ import annotations

from functools import partial
from operator import eq
from typing import Any, TypeVar

from pydantic import Field

T = TypeVar("T")


def option(default: T, description: str, **limits: Any) -> T:
    """A field with a default; its description is for the reference and for forms."""
    field: T = Field(default=default, description=description, **limits)
    return field


def added(default: T, description: str, **limits: Any) -> T:
    """An option that is in no digest while it has its default.

    So the digests of what was recorded before there was such a field stay.
    """
    return option(default, description, exclude_if=partial(eq, default), **limits)


def share(default: float, description: str, below: float = 1) -> float:
    """A field for a share: at least 0, and below 1 or another bound."""
    return option(default, description, ge=0, lt=below)
