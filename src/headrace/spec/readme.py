"""The pipeline's README: what people are told of the pipeline and its models."""

from __future__ import annotations

import re
from pathlib import Path

from headrace.spec.pipeline import PipelineSpec

_MODEL = re.compile(r"## +model *$", re.IGNORECASE | re.MULTILINE)


def read_readme(spec: PipelineSpec, folder: Path) -> str:
    """The README in the pipeline's folder; where there is none, its description."""
    file = folder / "README.md"
    text = file.read_text(encoding="utf-8") if file.is_file() else spec.description
    return text.strip()


def summary(readme: str) -> str:
    """Its first paragraph, in one line."""
    paragraphs = (part for part in readme.split("\n\n") if not part.startswith("#"))
    return " ".join(next(paragraphs, "").split())


def split_readme(readme: str) -> tuple[str, str]:
    """What stands before the first section, and the sections but ``## Model``.

    What a model is made of follows from the run, which need not be what the README
    says.
    """
    intro, *sections = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    shown = (part for part in sections if not _MODEL.match(part))
    return intro.strip(), "".join(shown).strip()
