"""What a saved model is asked: the text, the speaker, the variation and the length.

A question is packed into one float32 vector, so that a model has one input: the length
in seconds (0: the model's own), the speaker's index, the noise, and the code points of
the text, padded with zeros. The noise is standard normal, multiplied by the variation;
without it, a model gives its most typical take. The same question has the same answer.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, create_model

from headrace.errors import InputError, did_you_mean
from headrace.pipeline.data import plain_label
from headrace.records import DataDescription
from headrace.tasks.forms import some
from headrace.tasks.wire import Question

NOISE = 8
VARIATION = 1.0
MOST_VARIATION = 2.0
SHOWN = 20  # texts in a message
Floats = npt.NDArray[np.float32]


class Layout(NamedTuple):
    """Where the values of a question are; the code points follow the noise.

    Attributes:
        seconds, speaker: indices.
        noise, text: the slices of the noise and of the code points.
        size: the number of values.
    """

    seconds: int
    speaker: int
    noise: slice
    text: slice
    size: int

    @classmethod
    def of(cls, data: DataDescription) -> Layout:
        """The layout for a data set, by the length of its longest text."""
        first = 2 + NOISE
        size = first + int(data.longest)
        return cls(0, 1, slice(2, first), slice(first, size), size)


def noise_of(seed: int, variation: float) -> Floats:
    """Noise from a seed, float32 ``(NOISE,)``."""
    normal = np.random.default_rng(seed).standard_normal(NOISE)
    return (normal * variation).astype(np.float32)


def pack(
    data: DataDescription,
    texts: Sequence[str],
    speakers: Sequence[int],
    noise: Floats,
    seconds: Floats | float = 0.0,
) -> Floats:
    """Questions as one array.

    Args:
        data: of the snapshot.
        texts: with known characters, and none longer than the longest.
        speakers: indices in the data's speakers, ``(n,)``.
        noise: ``(n, NOISE)``.
        seconds: of each answer, ``(n,)``; 0 for the model's own.

    Returns:
        float32 ``(n, size)``.
    """
    layout = Layout.of(data)
    packed = np.zeros((len(texts), layout.size), np.float32)
    packed[:, layout.seconds], packed[:, layout.speaker] = seconds, speakers
    packed[:, layout.noise] = noise
    for row, text in zip(packed[:, layout.text], texts, strict=True):
        points = [ord(letter) for letter in text[: len(row)]]
        row[: len(points)] = points
    return packed


def index_of(speaker: str, data: DataDescription) -> int:
    """The index of a speaker; 0 where the data lacks it."""
    return data.speakers.index(speaker) if speaker in data.speakers else 0


def form_of(data: DataDescription) -> type[Question]:
    """What may be asked of the models of some data, as fields."""
    longest = data.shape[0] / data.sample_rate_hz
    return _form(tuple(data.texts), tuple(data.speakers), longest)


@functools.lru_cache
def _form(
    texts: tuple[str, ...], speakers: tuple[str, ...], longest: float
) -> type[Question]:
    def known_text(given: str) -> str:
        text = plain_label(given)
        if text not in texts:
            raise unknown_text(text, texts)
        return text

    def known_speaker(speaker: str) -> str:
        if speaker not in speakers:
            raise InputError(
                f"The model does not know the speaker {speaker!r:.60}.",
                did_you_mean(speaker, speakers, f"Speakers: {some(speakers, SHOWN)}."),
            )
        return speaker

    return create_model(
        "SpokenQuestion",
        __base__=Question,
        text=(Annotated[str, AfterValidator(known_text)], ...),
        speaker=(Annotated[str, AfterValidator(known_speaker)], speakers[0]),
        variation=(float, Field(default=VARIATION, ge=0, le=MOST_VARIATION)),
        seed=(int, Field(default=0, ge=0)),
        seconds=(
            float,
            Field(default=0.0, ge=0, le=longest, description="0: the model's own"),
        ),
    )


def question(one: Any, data: DataDescription) -> Floats:
    """A text or a mapping as a packed question; InputError for any other."""
    fields = {"text": one} if isinstance(one, str) else one
    if not isinstance(fields, Mapping) or not isinstance(fields.get("text"), str):
        raise InputError(
            f"The question {one!r:.80} has no text.",
            'Ask for example {"text": ' + f'"{data.texts[0]}"' + "}.",
        )
    asked: Any = form_of(data).model_validate(dict(fields))
    noise = noise_of(asked.seed, asked.variation)[np.newaxis]
    speaker = data.speakers.index(asked.speaker)
    return pack(data, [asked.text], [speaker], noise, asked.seconds)


def unknown_text(text: str, texts: Sequence[str]) -> InputError:
    """The error for a text that the model does not know."""
    return InputError(
        f"The model does not know the text {text!r:.60}.",
        did_you_mean(text, texts, f"It knows: {some(texts, SHOWN)}."),
    )


def checked(x: Floats, data: DataDescription) -> Floats:
    """Packed questions; InputError where the model does not take them."""
    layout = Layout.of(data)
    packed = np.atleast_2d(x).astype(np.float32)
    if packed.ndim != 2 or packed.shape[1] != layout.size or not len(packed):
        raise InputError(
            f"The input has shape {x.shape}; packed questions are (n, {layout.size}).",
            "Ask with texts, or with objects with a text.",
        )
    speakers = packed[:, layout.speaker]
    longest = data.shape[0] / data.sample_rate_hz
    seconds = packed[:, layout.seconds]
    letters = np.array([0, *map(ord, data.characters)], np.float32)
    if (
        not np.isfinite(packed).all()
        or not np.isin(speakers, np.arange(len(data.speakers))).all()
        or not ((seconds >= 0) & (seconds <= longest)).all()
        or not np.isin(packed[:, layout.text], letters).all()
    ):
        raise InputError(
            "A packed question has a speaker, a length, a character or noise that the "
            "model does not take.",
            "Ask with texts, or with objects with a text.",
        )
    return packed
