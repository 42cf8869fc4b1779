"""The id of a project, by which the ledger knows whose pipeline file it is shown.

It is in the file `headrace.toml` beside ``pipelines/``, which is committed, so that all
clones of a project share it. It tells projects apart that are taken for each other by
mistake; whoever means to can copy it.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from pathlib import Path

from headrace.errors import SpecError
from headrace.spec.files import read_tables

PROJECT_FILE = "headrace.toml"
_ID = re.compile(r"[\w.-]{1,80}")
_TEXT = """# The ledger knows this project by its id. Commit it: all clones share it.
id = "{id}"
"""


def project_file(folder: Path, *, is_packed: bool = False) -> Path | None:
    """The file with the id of a pipeline's project; None if there is none.

    Args:
        folder: of the pipeline.
        is_packed: whether it comes from the store, where it has the file in it. In a
            copy of it elsewhere, the file says nothing: the copy may be an older one.
    """
    above = (place for place in folder.parents if (place / "pipelines").is_dir())
    project = folder if is_packed else next(above, None)
    file = project / PROJECT_FILE if project else None
    return file if file and file.is_file() else None


def project_id(file: Path | None) -> str:
    """The id in a project's file; empty if there is none.

    Raises:
        SpecError: the file is not TOML, or has no valid id.
    """
    if file is None:
        return ""
    table = read_tables(file.parent, file.name)
    identity = table.pop("id", None)
    if table or not isinstance(identity, str) or not _ID.fullmatch(identity):
        wrong = f"the key {min(table)}" if table else f"id = {identity!r}"
        raise SpecError(
            f"{file} has {wrong[:80]}.",
            "It takes one key, id: up to 80 letters, digits, -, _ and dots.",
        )
    return identity


def write_project(project: Path) -> None:
    """Give a project an id, its name and random digits, unless it has one."""
    name = re.sub(r"[^\w.-]+", "-", project.absolute().name)[:60].strip("-")
    identity = f"{name or 'project'}-{secrets.token_hex(4)}"
    text = _TEXT.format(id=identity)
    with (
        contextlib.suppress(FileExistsError),
        (project / PROJECT_FILE).open("x", encoding="utf-8") as file,
    ):
        file.write(text)
