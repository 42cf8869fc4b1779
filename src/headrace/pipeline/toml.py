"""Values as the text of a pipeline file."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from headrace.display.signs import UNSEEN

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(value: Any) -> str:
    """A value in TOML, in one line, with its invisible characters escaped.

    Args:
        value: text, a number, a path, NumPy's, or a list or mapping of these.

    Raises:
        TypeError: TOML has no such value.
    """
    if not isinstance(value, str) and hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    if isinstance(value, Mapping):
        pairs = (f"{_key(str(name))} = {as_toml(one)}" for name, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r}, of type {type(value).__name__}")
    text = json.dumps(value, ensure_ascii=False)
    return UNSEEN.sub(lambda match: f"\\U{ord(match[0]):08x}", text)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else as_toml(name)
