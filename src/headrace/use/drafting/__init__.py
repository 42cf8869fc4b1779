"""A pipeline's folder made from its data: ``headrace new``.

The data is ingested as a run would, so that what is written has been seen. What cannot
be told from it keeps its default.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import UsageError
from headrace.spec import DataSpec, load_spec
from headrace.spec.checks import shorten
from headrace.spec.files import FILE_NAME
from headrace.spec.pipeline import media_names, task_names
from headrace.state.disk import disk_errors
from headrace.use.drafting.found import Found, look
from headrace.use.drafting.writing import pipeline_text, readme_text

if TYPE_CHECKING:
    from headrace.settings import Settings

__all__ = ["Draft", "Found", "draft"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """A pipeline that was written.

    Attributes:
        folder: with its files.
        found: what was seen in its data.
    """

    name: str
    medium: str
    folder: Path
    found: Found


def draft(
    name: str, medium: str, task: str, data: DataSpec, settings: Settings
) -> Draft:
    """Look at data, and write the folder of a pipeline for it.

    Args:
        name: of the pipeline.
        medium: of its items.
        task: what is learned of them.
        data: where they are, and what the user says of them.
        settings: where the pipelines and the store are.

    Raises:
        UsageError: the name, the medium or the task is none, or there is such a folder.
        NotFoundError: there is no such data.
        SourceError: it is damaged, or no item of it can be decoded.
        Refusal: it is too little to learn from.
        DependencyError: it cannot be reached, or the disk is full.
    """
    folder = settings.project / "pipelines" / name
    _check(name, medium, task, folder)
    found = look(data, medium, task, settings)
    text = pipeline_text(name, found)
    with disk_errors(str(folder)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as place:
            made = Path(place) / name
            made.mkdir()
            (made / FILE_NAME).write_text(text, encoding="utf-8")
            readme = readme_text(name, found)
            (made / "README.md").write_text(readme, encoding="utf-8")
            load_spec(made)
            shutil.move(made, folder)
    return Draft(name, medium, folder, found)


def _check(name: str, medium: str, task: str, folder: Path) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{shorten(name)!r} is not a valid pipeline name.",
            "Use small letters, digits, - and _, a letter first.",
        )
    if medium not in media_names():
        raise UsageError(
            f"There is no medium {medium!r}.", f"Media: {', '.join(media_names())}."
        )
    if task not in task_names():
        raise UsageError(
            f"There is no task {task!r}.", f"Tasks: {', '.join(task_names())}."
        )
    if folder.exists():
        raise UsageError(
            f"{folder} is there already.", "Choose another name, or delete that folder."
        )
