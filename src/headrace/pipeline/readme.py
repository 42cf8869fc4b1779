"""The README of a pipeline, which is the text of model cards, too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.pipeline.spec import PipelineSpec

_MODEL = re.compile(r"## +model *$", re.IGNORECASE | re.MULTILINE)


def read_readme(spec: PipelineSpec, folder: Path) -> str:
    """The README in the pipeline's folder, else the description of the spec."""
    file = folder / "README.md"
    if not file.is_file():
        return spec.description.strip()
    return file.read_text(encoding="utf-8", errors="replace").strip()


def summary(readme: str) -> str:
    """The first paragraph of a README, in one line."""
    paragraphs = (part for part in readme.split("\n\n") if not part.startswith("#"))
    return " ".join(next(paragraphs, "").split())


def split_readme(readme: str) -> tuple[str, str]:
    """The text before the first section, and all sections but ``## Model``.

    A model card describes the model of its run, which may differ from the README's.
    """
    intro, *sections = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    shown = (part for part in sections if not _MODEL.match(part))
    return intro.strip(), "".join(shown).strip()
