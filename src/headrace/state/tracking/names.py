"""Names of models, metrics and tags that MLflow accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping

_OURS = "headrace."
_HIDDEN = "mlflow."  # MLflow's pages do not show tags with this prefix


def valid_name(name: str) -> str:
    """The name of a metric or a tag: ``gate.a (b)`` becomes ``gate.a _b_``."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def logged_model_name(name: str) -> str:
    """The name of a logged model: ``model:build`` becomes ``model_build``."""
    return re.sub(r"[/:.%\"']", "_", name)


def to_mlflow_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags with a prefix that hides those of Headrace on MLflow's pages."""
    return {
        f"{_HIDDEN}{key}" if key.startswith(_OURS) else key: value
        for key, value in tags.items()
    }


def from_mlflow_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags without that prefix, which older releases did not write."""
    hidden = {k: v for k, v in tags.items() if k.startswith(f"{_HIDDEN}{_OURS}")}
    return {**tags, **{k.removeprefix(_HIDDEN): v for k, v in hidden.items()}}
