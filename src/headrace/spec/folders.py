"""Finds the folders of pipelines, by name or by path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import NotFoundError, did_you_mean
from headrace.spec.files import FILE_NAME

if TYPE_CHECKING:
    from headrace.settings import Settings


def pipeline_places(settings: Settings) -> list[Path]:
    """The folders that are searched for pipelines, nearest first."""
    package = Path(__file__).resolve().parents[1]
    roots = dict.fromkeys((settings.project, package.parents[1], package))
    places = (root / "pipelines" for root in roots)
    return [place for place in places if place.is_dir()]


def pipeline_names(settings: Settings) -> dict[str, Path]:
    """The folders of all pipelines, by name."""
    folders: dict[str, Path] = {}
    for place in pipeline_places(settings):
        for path in sorted(place.glob(f"*/{FILE_NAME}")):
            folders.setdefault(path.parent.name, path.parent)
    return folders


def find_pipeline(name: str, settings: Settings) -> Path:
    """The folder of a pipeline, given by path or by name.

    Raises:
        NotFoundError: there is none; the message suggests the nearest name.
    """
    if (Path(name) / FILE_NAME).is_file() and (os.sep in name or name.startswith(".")):
        return Path(name).resolve()
    names = pipeline_names(settings)
    if name in names:
        return names[name]
    listed = f"Known pipelines: {', '.join(sorted(names)) or 'none'}."
    raise NotFoundError(
        f"There is no pipeline {name!r}.", did_you_mean(name, names, listed, cutoff=0.4)
    )
