"""The reader of recipes: recordings that are joined from the clips of another source.

See `headrace.data.sources.recipes.definition` for what a recipe is.
"""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.data.sources.recipes.definition import Recipe, checked, parsed
from headrace.data.sources.recipes.making import recordings
from headrace.errors import SourceError, SpecError
from headrace.media import medium
from headrace.media.chunks import Chunk, Reading, Source
from headrace.settings import Settings

RANK = 5  # before the reader of texts, which would take it for one


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The recordings of a recipe, as WAV files; None for any other file.

    Raises:
        SourceError: the recipe is invalid, its medium's items cannot be joined, or its
            source has too few clips.
    """
    recipe = parsed(data, head)
    if recipe is None or isinstance(data, FileTree):
        return None
    module = medium(source.reading.medium)
    if not module.JOINS_CLIPS:
        raise SourceError(
            f"{data.where} is a recipe, which joins sounds, and this pipeline's medium "
            f"is {source.reading.medium}.",
            'Set medium = "audio".',
        )
    made = checked(recipe, data.where)
    _check_columns(source.reading, made, data.where)
    source.kind = "table"
    return recordings(made, data.where, module, source, settings)


def _check_columns(reading: Reading, recipe: Recipe, where: str) -> None:
    """Raise SpecError for columns other than the label and the group of the clips."""
    own = {"label": "label", "group": recipe.clips.group}
    for key in ("item", "label", "group", "where"):
        value = getattr(reading, key)
        if value is not None and value != own.get(key):
            known = (
                f" It has {own['group']!r}." if own["group"] and key == "group" else ""
            )
            raise SpecError(
                f"data.{key} = {value!r}: {where} is a recipe, and its recordings have "
                f"no such column.{known}",
                f"Leave it out, or name it in [clips] of {where}.",
            )
