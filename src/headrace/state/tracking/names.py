"""Names of runs, metrics and tags, as MLflow takes and shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_OURS = "headrace."
_UNSHOWN = "mlflow."  # pages of MLflow leave out the tags that begin so


def plain(name: str) -> str:
    """A name that may have slashes: ``gate.a (b)`` becomes ``gate.a _b_``."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def plain_name(name: str) -> str:
    """The name of a logged model: ``model:build`` becomes ``model_build``."""
    return re.sub(r"[/:.%\"']", "_", name)


def unshown(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they are written: those for Headrace alone are on no page of MLflow."""
    return {
        f"{_UNSHOWN}{key}" if key.startswith(_OURS) else key: value
        for key, value in tags.items()
    }


def own_names(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they are read; older releases wrote all of them to be shown."""
    prefix = f"{_UNSHOWN}{_OURS}"
    ours = {
        key.removeprefix(_UNSHOWN): value
        for key, value in tags.items()
        if key.startswith(prefix)
    }
    return {**tags, **ours}
