"""New projects and new pipelines, written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from headrace.errors import UsageError
from headrace.pipeline import load_spec
from headrace.pipeline.folders import find_pipeline
from headrace.settings import Settings
from headrace.state.disk import disk_errors

_IGNORED = ".headrace/\n__pycache__/\n"
_README = """# {project}

Run `headrace run {name}`, and look at the result with `headrace up`. The pipeline is in
`pipelines/{name}`; `headrace new` writes one for your own data.
"""


def create_project(folder: Path, name: str, settings: Settings) -> Path:
    """Create a project with a copy of one of the pipelines that have a name.

    Args:
        folder: a new one, or one without the files that are written.
        name: of the pipeline.

    Returns:
        the folder of the project's own pipeline.

    Raises:
        UsageError: one of the files is there already, or there can be no such folder.
        NotFoundError: there is no such pipeline.
        DependencyError: the disk is full.
    """
    source = find_pipeline(name, settings)
    try:
        with disk_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made: {error.strerror}.", "Name another folder."
        ) from None
    names = ("pipelines", "README.md", ".gitignore")
    if present := [name for name in names if (folder / name).exists()]:
        raise UsageError(
            f"{folder} already has {', '.join(present)}, which would be written.",
            "Name a new folder: headrace init FOLDER. To add a pipeline to a project, "
            "use `headrace new`.",
        )
    target = folder / "pipelines" / source.name
    with disk_errors(str(folder)):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        text = _README.format(project=folder.absolute().name, name=source.name)
        (folder / "README.md").write_text(text, encoding="utf-8")
        (folder / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    return target


def write_pipeline(folder: Path, files: Mapping[str, str]) -> None:
    """Write the folder of a pipeline.

    Args:
        folder: a new one in ``pipelines/``.
        files: the text of each.

    Raises:
        SpecError: the pipeline file is invalid; nothing is written.
        DependencyError: the disk is full.
    """
    with disk_errors(str(folder)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as place:
            made = Path(place) / folder.name
            made.mkdir()
            for file, text in files.items():
                (made / file).write_text(text, encoding="utf-8")
            load_spec(made)
            shutil.move(made, folder)
