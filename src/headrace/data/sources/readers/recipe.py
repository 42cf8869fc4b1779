"""The reader of recipes: recordings that are joined from the clips of another source.

See `headrace.data.sources.recipes` for what a recipe is.
"""

from __future__ import annotations

import hashlib
import io
import wave
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.data.sources.recipes import (
    Recipe,
    RowsOfSplit,
    beside,
    checked,
    parsed,
    sources_of,
)
from headrace.errors import SourceError, SpecError
from headrace.media import medium
from headrace.media.chunks import SPLITS, Chunk, Reading, Source
from headrace.media.forms import Problem
from headrace.media.interface import Medium
from headrace.records import Finding
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.media.audio.samples import Samples

RANK = 5  # before the reader of texts, which would take it for one
ROWS_PER_CHUNK = 256
_ATTEMPTS = 100  # to draw a recording that is short enough
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
    return _recordings(made, data.where, module, source, settings)


def _check_columns(reading: Reading, recipe: Recipe, where: str) -> None:
    """Raise SpecError for columns other than the label and the group of the clips."""
    own = {"label": "label", "group": recipe.clips.group}
    for key in ("item", "label", "group", "where"):
        value = getattr(reading, key)
        if value is not None and value != own.get(key):
            hint = (
                f" It has {own['group']!r}." if own["group"] and key == "group" else ""
            )
            raise SpecError(
                f"data.{key} = {value!r}: {where} is a recipe, and its recordings have "
                f"no such column.{hint}",
                f"Leave it out, or name it in [clips] of {where}.",
            )


def _recordings(
    recipe: Recipe, where: str, module: Medium, source: Source, settings: Settings
) -> Iterator[Chunk]:
    """The recordings, as WAV files, in the order of the recipe.

    Args:
        recipe: what to make.
        where: the recipe is.
        module: the medium.
        source: of the recipe, which opens that of the clips.
        settings: of both.

    Raises:
        SourceError: the source of the clips has too few of them.
    """
    shelf = _clips(recipe, where, module, source, settings)
    grouped = source.reading.group is not None
    numbers = dict.fromkeys(SPLITS, 0)
    too_long = 0
    for rows in recipe.rows:
        groups = sorted(shelf.get(rows.split, {}))
        if not groups:
            raise SourceError(
                f"{where}: {recipe.clips.source} has no clips of the split "
                f"{rows.split!r}.",
                "Give a source with a train and a test split, or with none.",
            )
        for start in range(0, rows.count, ROWS_PER_CHUNK):
            made = []
            for _ in range(start, min(rows.count, start + ROWS_PER_CHUNK)):
                number = numbers[rows.split]
                numbers[rows.split] += 1
                group = groups[number % len(groups)]
                row = _Row(recipe, rows, number, shelf[rows.split][group])
                sound, labels, again = row.recording(module, where)
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

    def recording(self, module: Medium, where: str) -> tuple[Samples, list[str], int]:
        """The recording, the labels of its clips, and how often it was too long."""
        how, rate = self.recipe.recordings, self.recipe.clips.sample_rate_hz
        key = [how.seed, SPLITS.index(self.rows.split) << 48 | self.number]
        random = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
        classes = sorted(self.clips)
        least, most = self.rows.clips
        count = int(random.integers(least, most + 1))
        for attempt in range(_ATTEMPTS):
            labels = [classes[n] for n in random.integers(len(classes), size=count)]
            chosen = [
                self.clips[label][int(random.integers(len(self.clips[label])))]
                for label in labels
            ]
            sound = module.join(chosen, rate, how.gap_seconds, how.noise_db, random)
            if len(sound) <= how.longest_seconds * rate:
                return sound, labels, attempt
        raise SourceError(
            f"{where}: no {count} clips were found that are not longer than "
            f"{how.longest_seconds:g} s together.",
            "Raise recordings.longest_seconds, or lower the number of clips.",
        )


def _clips(
    recipe: Recipe, where: str, module: Medium, source: Source, settings: Settings
) -> _Shelf:
    """Decode the clips; those that cannot be used become a finding of the source."""
    if source.open_other is None:
        raise ValueError("a recipe needs a way to open the source of its clips")
    own = recipe.clips
    reading = Reading(
        medium=source.reading.medium,
        item=own.item,
        label=own.label,
        group=own.group,
        where=own.where,
    )
    named = beside(own.source, where)
    if sources_of(named, settings):
        raise SourceError(
            f"{where}: clips.source = {own.source!r} is a recipe, too.",
            "Name the source of the clips themselves.",
        )
    shelf: _Shelf = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    bad = 0
    with source.open_other(named, reading) as clips:
        for chunk in clips.chunks:
            if not isinstance(chunk.items, list):
                raise SourceError(
                    f"{where}: {own.source} holds arrays.", "Give a source of files."
                )
            groups = chunk.groups or [""] * len(chunk.items)
            sounds = module.decode_clips(chunk.items, own.sample_rate_hz)
            for sound, label, group in zip(sounds, chunk.labels, groups, strict=True):
                if isinstance(sound, Problem) or not len(sound) or not label:
                    bad += 1
                else:
                    split = chunk.split or _split_of(sound, own.test_fraction)
                    shelf[split][group][label].append(sound)
    source.attribution = clips.attribution
    source.notes += clips.notes
    source.findings += clips.findings
    if bad:
        text = f"{bad:,} clips of {own.source} cannot be used, and are left out"
        source.findings.append(Finding(check="clips", count=bad, message=text))
    return shelf


def _split_of(sound: Samples, test_fraction: float) -> str:
    head = hashlib.sha256(sound.astype("<i2", copy=False).tobytes()).digest()[:4]
    return "test" if int.from_bytes(head) / 2**32 < test_fraction else "train"


def _wav(sound: Samples, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(sound.astype("<i2", copy=False).tobytes())
    return file.getvalue()
