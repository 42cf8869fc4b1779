"""Makes the recordings of this pipeline: connected digits, joined from single ones.

    python pipelines/dictation/make_recordings.py FOLDER

FOLDER gets a WAV file for each recording, and the table ``recordings.csv``. The digits
are the Free Spoken Digit Dataset by Zohar Jackson and others (CC BY-SA 4.0), of which
HEADRACE_DATA may have a copy. The recordings are the same each time.

Each has clips of one speaker. Train has the takes 5 to 49 of each digit, test the takes
0 to 4, which train never has. Half of the recordings of train have one or two digits:
without short ones, a model does not learn to align.
"""

from __future__ import annotations

import argparse
import csv
import sys
import wave
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.sources.opening import open_source
from headrace.errors import HeadraceError, SourceError
from headrace.media.audio.files import decode_files
from headrace.media.audio.samples import to_floats, to_samples
from headrace.media.chunks import SPLITS, Reading
from headrace.media.forms import Problem
from headrace.records import Form
from headrace.settings import Settings

SOURCE = "catalog:free-spoken-digits"
RATE = 8000  # Hz
SEED = 1
GAP_SECONDS = (0.0, 0.25)  # before, between and after clips
NOISE_DB = (10, 30)  # of the signal over white noise
LONGEST_SECONDS = 5.0
LOUDEST = 0.99  # the peak of a recording that would be louder than full scale

Sound = npt.NDArray[np.int16]
# The clips of each digit, by their split and speaker.
Shelf = dict[str, dict[str, dict[str, list[Sound]]]]


class Rows(NamedTuple):
    """So many recordings of a split, each of ``least`` to ``most`` digits."""

    split: str
    count: int
    least: int
    most: int


ROWS = (Rows("train", 2400, 1, 2), Rows("train", 2400, 3, 7), Rows("test", 420, 1, 7))


class Recording(NamedTuple):
    """A recording int16 ``(samples,)``, its digits, speaker, split and number there."""

    sound: Sound
    digits: Sequence[str]
    speaker: str
    split: str
    number: int


def clips_of(source: str, settings: Settings) -> Shelf:
    """The clips of a source, without silence at their ends.

    Raises:
        HeadraceError: there is no copy of it, and it cannot be downloaded.
    """
    shelf: Shelf = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    reading = Reading(medium="audio", group="speaker")
    with open_source(source, settings, reading) as opened:
        for chunk in opened.chunks:
            sounds = decode_files([*chunk.items], Form(sample_rate_hz=RATE)).items
            rows = zip(sounds, chunk.labels, chunk.groups, strict=True)
            for sound, digit, speaker in rows:
                if isinstance(sound, Problem):
                    raise SourceError(f"{source}: {sound.reason}.")
                shelf[chunk.split or "train"][speaker][digit].append(
                    np.trim_zeros(sound, "b")
                )
    return shelf


def recordings(shelf: Shelf, every: Sequence[Rows] = ROWS) -> Iterator[Recording]:
    """The recordings, in which the speakers take turns.

    Each has a random generator of its own, so that more rows leave the first as they
    are. One that is too long is drawn again.
    """
    numbers = dict.fromkeys(SPLITS, 0)
    for rows in every:
        speakers = sorted(shelf[rows.split])
        for _ in range(rows.count):
            number = numbers[rows.split]
            numbers[rows.split] += 1
            key = [SEED, SPLITS.index(rows.split) << 48 | number]
            random = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
            speaker = speakers[number % len(speakers)]
            count = int(random.integers(rows.least, rows.most + 1))
            sound, digits = drawn(shelf[rows.split][speaker], count, random)
            while len(sound) > LONGEST_SECONDS * RATE:
                sound, digits = drawn(shelf[rows.split][speaker], count, random)
            yield Recording(sound, digits, speaker, rows.split, number)


def drawn(
    clips: dict[str, list[Sound]], count: int, random: np.random.Generator
) -> tuple[Sound, list[str]]:
    """A recording of so many digits, and the digits."""
    known = sorted(clips)
    digits = [known[place] for place in random.integers(len(known), size=count)]
    chosen = [clips[one][int(random.integers(len(clips[one])))] for one in digits]
    return join(chosen, random), digits


def join(clips: Sequence[Sound], random: np.random.Generator) -> Sound:
    """Clips as one recording, with pauses and with noise over all of it."""
    gaps = np.rint(random.uniform(*GAP_SECONDS, len(clips) + 1) * RATE).astype(int)
    floats = [to_floats(clip) for clip in clips]
    parts = [np.zeros(gaps[0], np.float32)]
    for clip, gap in zip(floats, gaps[1:], strict=True):
        parts += [clip, np.zeros(gap, np.float32)]
    sound = np.concatenate(parts)
    power = float(np.mean(np.square(np.concatenate(floats))))
    level = np.sqrt(power / 10 ** (random.uniform(*NOISE_DB) / 10))
    sound += random.standard_normal(len(sound), np.float32) * np.float32(level)
    return to_samples(sound * min(1.0, LOUDEST / float(np.abs(sound).max())))


def write(made: Iterator[Recording], folder: Path) -> int:
    """Write recordings and their table; returns their number.

    Raises:
        FileExistsError: there is such a folder.
    """
    folder.mkdir(parents=True)
    names = ["file", "transcript", "speaker", "split"]
    lines = []
    for one in made:
        name = f"{one.split}-{one.number:04}.wav"
        with wave.open(str(folder / name), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(one.sound.astype("<i2", copy=False).tobytes())
        lines.append((name, " ".join(one.digits), one.speaker, one.split))
    with (folder / "recordings.csv").open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows([names, *lines])
    return len(lines)


def main() -> None:
    """Make the recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a new one")
    folder = parser.parse_args().folder
    try:
        count = write(recordings(clips_of(SOURCE, Settings())), folder)
    except FileExistsError:
        parser.error(f"{folder} is there already")
    except HeadraceError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(f"{folder}: {count:,} recordings\n")


if __name__ == "__main__":
    main()
