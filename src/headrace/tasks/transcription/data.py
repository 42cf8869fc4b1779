"""Labels as transcripts: sequences of words, or of characters; their contract.

Where there are few different words, a model gives words, which it learns faster. Else
it gives characters, and can write words that it never saw.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Expectation, never, within
from headrace.media.text.characters import SCRIPTS, characters_of
from headrace.pipeline import DataSpec
from headrace.records import DataDescription
from headrace.tasks import Contract, Labels
from headrace.tasks.forms import Column, Counts, Targets

MOST_WORDS = 60  # in a vocabulary of words
PADDING = -1
# A script is of the data set if so many of the transcripts are in it.
_SCRIPT_SHARE = 0.05
# One script for this purpose: Japanese mixes them.
_SAME = {"kana": "han"}


def plain(transcript: str) -> str:
    """A transcript in Unicode's form NFC, with single blanks between words."""
    return " ".join(unicodedata.normalize("NFC", transcript).split())


def scripts_of(transcripts: Sequence[str]) -> list[str]:
    """The script of most letters of each transcript; empty where it has no letters."""
    if not transcripts:
        return []
    characters = characters_of(pa.array(transcripts, pa.string()))
    counts = np.stack(
        [characters.count(characters.scripts == n) for n in range(1, len(SCRIPTS))]
    )
    likeliest = np.where(counts.any(axis=0), counts.argmax(axis=0) + 1, 0)
    names = [SCRIPTS[number] for number in likeliest.tolist()]
    return [_SAME.get(name, name) for name in names]


def tokens_of(transcript: str, unit: str) -> list[str]:
    """The words of a transcript, or its characters with the blanks."""
    return transcript.split() if unit == "words" else list(transcript)


class Transcripts(Labels):
    STRATIFIED = False
    DTYPE = "int32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Each transcript in Unicode's form NFC, with single blanks between words."""
        changed = 0
        for chunk in chunks:
            labels = [plain(label) for label in chunk.labels]
            changed += sum(a != b for a, b in zip(labels, chunk.labels, strict=True))
            yield replace(chunk, labels=labels)
        if changed:
            source.notes.append(
                f"{changed:,} transcripts were brought to single blanks between words "
                "and to Unicode's form NFC"
            )

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        """All of them: the share of each script matters, and text is small by sound."""
        return frozenset({plain(label) for label in labels} - {""})

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """The vocabulary, the unit of it, the most units of a transcript, the scripts.

        Transcripts in a script that hardly any other has count for nothing: the
        contract sets them aside.
        """
        distinct = sorted({plain(label) for label in labels} - {""})
        scripts = scripts_of(distinct)
        sizes = Counter(filter(None, scripts))
        least = _SCRIPT_SHARE * sizes.total()
        main = sorted(name for name, count in sizes.items() if count >= least)
        usual = [
            label
            for label, script in zip(distinct, scripts, strict=True)
            if not script or script in main
        ]
        words = {word for label in usual for word in label.split()}
        unit = "words" if len(words) <= MOST_WORDS else "characters"
        tokens = {token for label in usual for token in tokens_of(label, unit)}
        if unit == "characters":
            tokens.add(" ")
        longest = max((len(tokens_of(label, unit)) for label in usual), default=1)
        return {
            "unit": unit,
            "tokens": sorted(tokens),
            "longest": longest,
            "scripts": main,
        }

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether there are any."""
        return bool(val)

    def target_shape(self, data: DataDescription) -> tuple[int, ...]:
        """The most words or characters of a transcript, and one more."""
        return (data.longest + 1,)

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """Indices in the vocabulary, int32 ``(n, longest + 1)``, padded with -1.

        The last column is the index of the space, which separates words; -1 where the
        vocabulary has words. A word or character that is not in the vocabulary gets its
        size, the index of CTC's blank. The end of a transcript that is too long is left
        out.
        """
        index = {token: number for number, token in enumerate(data.tokens)}
        targets = np.full((len(labels), data.longest + 1), PADDING, self.DTYPE)
        for row, label in enumerate(labels.to_pylist()):
            tokens = tokens_of(plain(label or ""), data.unit)[: data.longest]
            targets[row, : len(tokens)] = [index.get(t, len(index)) for t in tokens]
        if data.unit != "words":
            targets[:, -1] = index.get(" ", PADDING)
        return targets


def sequences(targets: Targets) -> list[list[int]]:
    """The indices of each transcript, of targets ``(n, longest + 1)``."""
    return [row[row != PADDING].tolist() for row in targets[:, :-1]]


def words_of(rows: Sequence[Sequence[int]], targets: Targets) -> list[list[Any]]:
    """The words of sequences of indices, as the targets ``(n, longest + 1)`` part them.

    A word is an index where the vocabulary has words, else a tuple of indices.
    """
    spaces = targets[:, -1].tolist()
    return [
        [*row] if space == PADDING else _parted(row, space)
        for row, space in zip(rows, spaces, strict=True)
    ]


def _parted(row: Sequence[int], space: int) -> list[tuple[int, ...]]:
    groups = itertools.groupby(row, lambda index: index == space)
    return [tuple(part) for is_space, part in groups if not is_space]


class UsableTranscripts(Contract):
    COLUMNS: Sequence[str] = ("transcript_words", "transcript_length", "foreign_script")
    THING = "item with a transcript"

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """Each transcript has words, in a usual script, and they are not all equal.

        A sound that fills the whole shape was cut, and its transcript was not.
        """
        distinct = "expect_column_unique_value_count_to_be_between"
        at_least_two = {"column": "label", "min_value": 2}
        usual = " or ".join(data.scripts)
        empty, foreign = "its transcript is empty", f"its transcript is not in {usual}"
        return [
            within("label", "transcript_words", empty, min_value=1),
            never("foreign_script", foreign, warns=False),
            Expectation("transcripts", distinct, at_least_two, split="train"),
            *_uncut(data),
        ]

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """Of each transcript: words, characters, whether its script is a rare one.

        Returns:
            ``transcript_words`` and ``transcript_length``, int64; ``foreign_script``,
            bool.
        """
        texts = [plain(text or "") for text in label.tolist()]
        usual = {"", *data.scripts}
        foreign = [script not in usual for script in scripts_of(texts)]
        return {
            "transcript_words": np.array([len(t.split()) for t in texts], np.int64),
            "transcript_length": np.array([len(t) for t in texts], np.int64),
            "foreign_script": np.array(foreign, bool),
        }

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """A split whose transcripts are all equal."""
        if check != "transcripts":
            return ""
        return f"{split} has no two different transcripts: there is nothing to learn"


def _uncut(data: DataDescription) -> list[Expectation]:
    if not data.sample_rate_hz:
        return []
    samples, rate = data.shape[0], data.sample_rate_hz
    reason = f"it was cut to data.seconds = {samples / rate:g}, and its transcript was "
    reason += "not: raise that, or cut it at a pause"
    most = (samples - 0.5) / rate
    return [within("cut_short", "seconds", reason, max_value=most)]


LABELS = Transcripts()
CONTRACT = UsableTranscripts()
