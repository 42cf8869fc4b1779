"""New projects, each with a copy of a pipeline that comes with Headrace."""

from __future__ import annotations

import shutil
from pathlib import Path

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.spec.folders import find_pipeline
from headrace.spec.project import PROJECT_FILE, write_project
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
        UsageError: one of the files is there already.
        NotFoundError: there is no such pipeline.
        DependencyError: the disk is full.
    """
    source = find_pipeline(name, settings)
    if folder.is_file():
        raise UsageError(f"{folder} is a file.", "Name a new folder.")
    names = ("pipelines", "README.md", ".gitignore", PROJECT_FILE)
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
        write_project(folder)
    return target
