"""Names as MLflow takes them, which may become paths of files."""

from __future__ import annotations

import hashlib
import re

_LONGEST_PART = 80


def plain(name: str) -> str:
    """A name that may have slashes: ``gate.a (b)`` becomes ``gate.a _b_``."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def plain_part(name: str) -> str:
    """What may stand between two slashes: a class is called ``C++``, ``..`` or ``/``.

    A name that cannot stay as it is gets a digest of itself, so that ``C+`` and ``C#``
    are two.
    """
    taken = plain(name).replace("/", "_")[:_LONGEST_PART]
    if taken == name and name.strip("."):
        return name
    return f"{taken}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
