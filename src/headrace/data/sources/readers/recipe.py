"""The reader of recipes: recordings that are joined from the clips of another source.

A recipe is a TOML file::

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
clips, one after the other. Row by row, the groups take turns. Each row has a random
generator of its own, so that more rows leave the first ones as they are.
"""

from __future__ import annotations

import io
import tomllib
import wave
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from headrace.data.sources.places import uris as places
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.errors import SourceError, SpecError
from headrace.media import medium
from headrace.media.chunks import SPLITS, Chunk, Reading, Source
from headrace.media.forms import Problem
from headrace.records import Finding
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.media.audio.samples import Samples

RANK = 5  # before the reader of texts, which would take it for one
MOST_BYTES = 64 * 2**10
ROWS_PER_CHUNK = 256
_ATTEMPTS = 100  # to draw a recording that is short enough


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError("the first number is the lower one")
    return pair


Span = Annotated[tuple[float, float], AfterValidator(_ascending)]
Seconds = Annotated[float, Field(ge=0, le=60)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Clips(_Table):
    """``[clips]``: the source of the clips, and columns of its table."""

    source: str
    sample_rate_hz: int = Field(ge=1000, le=384_000)
    item: str | None = None
    label: str | None = None
    group: str | None = None
    where: str | None = None


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


# The clips of each label, by their split and group.
_Shelf = dict[str, dict[str, dict[str, list["Samples"]]]]


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The recordings of a recipe, as WAV files; None for any other file.

    Raises:
        SourceError: the recipe is invalid, its medium's items cannot be joined, or its
            source has too few clips.
    """
    recipe = _parsed(data, head)
    if recipe is None or isinstance(data, FileTree):
        return None
    join = getattr(medium(source.reading.medium), "join", None)
    if join is None:
        raise SourceError(
            f"{data.where} is a recipe, which joins sounds, and this pipeline's medium "
            f"is {source.reading.medium}.",
            'Set medium = "audio".',
        )
    where = data.where
    try:
        checked = Recipe.model_validate(recipe)
    except ValidationError as error:
        raise _invalid(where, error) from None
    _check_columns(source.reading, checked, where)
    source.kind = "table"
    return _recordings(checked, where, source, settings)


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


def sources_of(uri: str, settings: Settings) -> list[str]:
    """The source that a recipe names; nothing for any other source.

    Raises:
        NotFoundError: there is no such file.
    """
    if not uri.lower().endswith(".toml"):
        return []
    data = places.open_path(uri, settings)
    recipe = _parsed(data, data.head(MOST_BYTES)) if isinstance(data, File) else None
    named = recipe["clips"].get("source") if recipe else None
    return [named] if isinstance(named, str) else []


def _parsed(data: File | FileTree, head: bytes) -> dict[str, Any] | None:
    """The tables of a recipe; None for any other file."""
    if isinstance(data, FileTree) or data.size > MOST_BYTES or b"\0" in head:
        return None
    try:
        tables = tomllib.loads(data.read().decode())
    except (ValueError, RecursionError):
        return None
    is_recipe = isinstance(tables.get("clips"), dict) and "rows" in tables
    return tables if is_recipe else None


def _invalid(where: str, error: ValidationError) -> SourceError:
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    problem = first["msg"].removeprefix("Value error, ")
    return SourceError(
        f"{where}: {field} = {first['input']!r}: {problem}.",
        "Correct it; the documentation of dictation has an example.",
    )


def _recordings(
    recipe: Recipe, where: str, source: Source, settings: Settings
) -> Iterator[Chunk]:
    shelf = _clips(recipe, where, source, settings)
    join: Any = medium(source.reading.medium).join  # type: ignore[attr-defined]
    grouped = source.reading.group is not None
    numbers = dict.fromkeys(SPLITS, 0)
    too_long = 0
    for rows in recipe.rows:
        groups = sorted(shelf.get(rows.split, {}))
        if not groups:
            raise SourceError(
                f"{where}: {recipe.clips.source} has no clips of the split "
                f"{rows.split!r}.",
                "Give a source with a train and a test split.",
            )
        for start in range(0, rows.count, ROWS_PER_CHUNK):
            made = []
            for _ in range(start, min(rows.count, start + ROWS_PER_CHUNK)):
                number = numbers[rows.split]
                numbers[rows.split] += 1
                group = groups[number % len(groups)]
                row = _Row(recipe, rows, number, shelf[rows.split][group])
                sound, labels, again = row.recording(join, where)
                too_long += again
                made.append((sound, " ".join(labels), group, number))
            yield Chunk(
                split=rows.split,
                items=[_wav(sound, recipe.clips.sample_rate_hz) for sound, *_ in made],
                labels=[labels for _, labels, *_ in made],
                names=[f"{rows.split}[{number}]" for *_, number in made],
                groups=[group for *_, group, _ in made] if grouped else [],
            )
    if too_long:
        source.notes.append(
            f"{where}: {too_long:,} recordings were drawn again, since they were "
            f"longer than {recipe.recordings.longest_seconds:g} s"
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """One recording.

    Attributes:
        number: of the row in its split.
        clips: of its split and group, by label.
    """

    recipe: Recipe
    rows: RowsOfSplit
    number: int
    clips: dict[str, list[Samples]]

    def recording(self, join: Any, where: str) -> tuple[Samples, list[str], int]:
        """The recording, the labels of its clips, and how often it was too long."""
        how, rate = self.recipe.recordings, self.recipe.clips.sample_rate_hz
        key = [how.seed, SPLITS.index(self.rows.split) << 48 | self.number]
        random = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
        known = sorted(self.clips)
        least, most = self.rows.clips
        count = int(random.integers(least, most + 1))
        for attempt in range(_ATTEMPTS):
            labels = [known[n] for n in random.integers(len(known), size=count)]
            chosen = [
                self.clips[label][int(random.integers(len(self.clips[label])))]
                for label in labels
            ]
            sound = join(chosen, rate, how.gap_seconds, how.noise_db, random)
            if len(sound) <= how.longest_seconds * rate:
                return sound, labels, attempt
        raise SourceError(
            f"{where}: no {count} clips were found that are not longer than "
            f"{how.longest_seconds:g} s together.",
            "Raise recordings.longest_seconds, or lower the number of clips.",
        )


def _clips(recipe: Recipe, where: str, source: Source, settings: Settings) -> _Shelf:
    """Decode the clips; those that cannot be used become a finding of the source."""
    from headrace.data.sources.opening import open_source  # which finds this reader

    own = recipe.clips
    decode: Any = medium(source.reading.medium).decode_clips  # type: ignore[attr-defined]
    reading = Reading(
        medium=source.reading.medium,
        item=own.item,
        label=own.label,
        group=own.group,
        where=own.where,
    )
    if sources_of(own.source, settings):
        raise SourceError(
            f"{where}: clips.source = {own.source!r} is a recipe, too.",
            "Name the source of the clips themselves.",
        )
    shelf: _Shelf = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    bad = 0
    with open_source(own.source, settings, reading) as clips:
        for chunk in clips.chunks:
            if not isinstance(chunk.items, list) or chunk.split is None:
                raise SourceError(
                    f"{where}: {own.source} has no splits, or no files.",
                    "Give sound files in train and test.",
                )
            groups = chunk.groups or [""] * len(chunk.items)
            sounds = decode(chunk.items, own.sample_rate_hz)
            for sound, label, group in zip(sounds, chunk.labels, groups, strict=True):
                if isinstance(sound, Problem) or not len(sound) or not label:
                    bad += 1
                else:
                    shelf[chunk.split][group][label].append(sound)
    source.attribution = clips.attribution
    source.notes += clips.notes
    source.findings += clips.findings
    if bad:
        text = f"{bad:,} clips of {own.source} cannot be used, and are left out"
        source.findings.append(Finding(check="clips", count=bad, message=text))
    return shelf


def _wav(sound: Samples, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(sound.astype("<i2", copy=False).tobytes())
    return file.getvalue()
