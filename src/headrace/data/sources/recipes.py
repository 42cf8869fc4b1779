"""The definition of a recipe, a TOML file.

Its tables are::

    [clips]  # a source with splits, labels and groups
    source = "catalog:free-spoken-digits"
    sample_rate_hz = 8000
    group = "speaker"

    [recordings]
    seed = 1
    gap_seconds = [0.0, 0.25]  # before, between and after clips
    noise_db = [10, 30]  # signal-to-noise ratio; left out: no noise
    longest_seconds = 6.0

    [[rows]]
    split = "train"
    count = 1000
    clips = [1, 2]  # of a recording, at least and at most

A recording has clips of one split and of one group. Its label is the labels of its
clips, one after the other. A source without splits is split by the hash of each clip.
Row by row, the groups take turns. Each row has a random generator of its own, so that
more rows leave the first ones as they are. All clips are in memory.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from headrace.data.sources.places import uris as places
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, is_recipe
from headrace.errors import SourceError, did_you_mean
from headrace.settings import Settings
from headrace.spec.checks import absolute_source

MOST_BYTES = 64 * 2**10
_ELSEWHERE = re.compile(r"[/~]|\w[\w+.-]+:")  # a path from a root, or a URI


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number is the lower one")
    return pair


Span = Annotated[tuple[float, float], AfterValidator(_ascending)]
Seconds = Annotated[float, Field(ge=0, le=60)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Clips(_Table):
    """``[clips]``: the source of the clips, and columns of its table.

    Attributes:
        test_fraction: the share of clips for test, where the source has no splits.
    """

    source: str
    sample_rate_hz: int = Field(ge=1000, le=384_000)
    item: str | None = None
    label: str | None = None
    group: str | None = None
    where: str | None = None
    test_fraction: float = Field(default=0.2, gt=0, lt=1)


class Recordings(_Table):
    """``[recordings]``: how clips are joined."""

    seed: int = Field(default=1, ge=0, lt=2**32)
    gap_seconds: Annotated[tuple[Seconds, Seconds], AfterValidator(_ascending)] = (
        0.0,
        0.25,
    )
    noise_db: Span | None = None
    longest_seconds: float = Field(default=10.0, gt=0, le=60)


class RowsOfSplit(_Table):
    """``[[rows]]``: the number of recordings of a split, and of their clips."""

    split: Literal["train", "test"]
    count: int = Field(ge=1, le=1_000_000)
    clips: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1000)], Annotated[int, Field(le=1000)]],
        AfterValidator(_ascending),
    ]


class Recipe(_Table):
    """A recipe file."""

    clips: Clips
    recordings: Recordings
    rows: tuple[RowsOfSplit, ...] = Field(min_length=1)


_FIELDS = {
    "": Recipe.model_fields,
    "clips": Clips.model_fields,
    "recordings": Recordings.model_fields,
    "rows": RowsOfSplit.model_fields,
}


def checked(tables: dict[str, Any], where: str) -> Recipe:
    """The recipe in the tables of a file.

    Raises:
        SourceError: a field is unknown, missing or out of bounds.
    """
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        raise _invalid(where, error) from None


def _invalid(where: str, error: ValidationError) -> SourceError:
    errors = error.errors(include_url=False)
    unknown = (one for one in errors if one["type"] == "extra_forbidden")
    first = next(unknown, errors[0])
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return SourceError(f"{where}: {field} is missing.", "Add it.")
    if first["type"] == "extra_forbidden":
        table, name = str(first["loc"][0]), str(first["loc"][-1])
        names = sorted(_FIELDS[table if field != table else ""])
        return SourceError(
            f"{where}: unknown key {field} (value {first['input']!r}).",
            did_you_mean(name, names, f"Valid names: {', '.join(names)}."),
        )
    problem = first["msg"].removeprefix("Value error, ")
    return SourceError(
        f"{where}: {field} = {first['input']!r}: {problem}.",
        "Correct it; the guide on transcription has an example.",
    )


def sources_of(uri: str, settings: Settings) -> list[str]:
    """The source that a recipe names; nothing for any other source.

    Raises:
        NotFoundError: there is no such file.
    """
    if not is_recipe(uri):
        return []
    data = places.open_path(uri, settings)
    recipe = parsed(data, data.head(MOST_BYTES)) if isinstance(data, File) else None
    named = recipe["clips"].get("source") if recipe else None
    return [beside(named, uri)] if isinstance(named, str) else []


def beside(source: str, recipe: str) -> str:
    """The source of a recipe; a relative path is one from the recipe's folder."""
    if "://" not in recipe:
        return absolute_source(source, Path(recipe).parent)
    if _ELSEWHERE.match(source):
        return source
    place, *chain = recipe.split("::")
    return "::".join([f"{place.rpartition('/')[0]}/{source}", *chain])


def parsed(data: File | FileTree, head: bytes) -> dict[str, Any] | None:
    """The tables of a recipe; None for any other file."""
    if isinstance(data, FileTree) or data.size > MOST_BYTES or b"\0" in head:
        return None
    try:
        tables = tomllib.loads(data.read().decode())
    except (ValueError, RecursionError):
        return None
    is_recipe = isinstance(tables.get("clips"), dict) and "rows" in tables
    return tables if is_recipe else None
