"""Finds and opens pipelines, by name or by the path of their folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import NotFoundError, did_you_mean
from headrace.pipeline.checks import absolute_source
from headrace.pipeline.files import FILE_NAME, load_spec

if TYPE_CHECKING:
    from headrace.pipeline.spec import PipelineSpec
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


def is_packaged(folder: Path, settings: Settings) -> bool:
    """Whether a pipeline is none of the project's own."""
    return not folder.is_relative_to(settings.project / "pipelines")


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


def open_pipeline(
    name: str,
    settings: Settings,
    overrides: Sequence[str] | None = None,
    data: str | None = None,
) -> tuple[PipelineSpec, Path]:
    """The spec with its overrides, and the pipeline's folder.

    Args:
        name: of the pipeline, or the path of its folder.
        settings: where pipelines are.
        overrides: as given with ``--set``.
        data: another source, as given with ``--data``.

    Raises:
        NotFoundError: there is no such pipeline.
        SpecError: its file or an override is invalid.
        UsageError: the source is empty, or holds a credential.
    """
    folder = find_pipeline(name, settings)
    spec = load_spec(folder, all_overrides(overrides, data))
    if data is None:
        source = absolute_source(spec.data.source, folder)
        of_source = spec.data.model_copy(update={"source": source})
        spec = spec.model_copy(update={"data": of_source})
    return spec, folder


def all_overrides(overrides: Sequence[str] | None, data: str | None) -> tuple[str, ...]:
    """``--set`` and ``--data``, as overrides of a pipeline file."""
    changes = tuple(overrides or ())
    if data is None:
        return changes
    return *changes, f"data.source={json.dumps(absolute_source(data, Path.cwd()))}"
