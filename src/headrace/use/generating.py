"""Texts of a language model, whole or in pieces, and messages that a synthesis says."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from headrace.errors import InputError, UsageError
from headrace.models.logged.loading import LoadedModel, load
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.ledger.records import model_of
from headrace.tasks import task
from headrace.tasks.generation.writing import TEMPERATURE, Writer, stream_text
from headrace.tasks.wire import Question

if TYPE_CHECKING:
    from headrace.settings import Settings

PROMPT_CHARACTERS = 2_000
_SEEDS = 2**32
_SHOWN = 40
SUFFIXES = (".wav", ".flac", ".ogg")


def _new_seed() -> int:
    """A seed for a text whose seed nobody has named."""
    return secrets.randbelow(_SEEDS)


def _check_prompt(prompt: Any) -> str:
    if isinstance(prompt, str) and len(prompt) <= PROMPT_CHARACTERS:
        others = (character for character in prompt if character not in "\n\t\r")
        if not any(unicodedata.category(one) in ("Cc", "Cs") for one in others):
            return prompt
    raise InputError(
        f"The prompt is no text of at most {PROMPT_CHARACTERS:,} characters without "
        f"control characters: {str(prompt)[:_SHOWN]!r}.",
        "Give a plain string, such as the last part of it.",
    )


class TextRequest(Question):
    """What is to be written. Equal requests give equal texts.

    Raises:
        InputError: a value is out of range, or the prompt is no plain text.
    """

    prompt: Annotated[str, BeforeValidator(_check_prompt)] = Field(
        default="",
        max_length=PROMPT_CHARACTERS,
        description="what the text begins with; empty: at the beginning of a document",
    )
    characters: int = Field(
        default=500, ge=1, le=20_000, description="the most that are written"
    )
    lines: int = Field(
        default=0,
        ge=0,
        le=1_000,
        description="to write, unless there are too many characters before; the rest "
        "of the prompt's last line is the first one; 0: as many as come",
    )
    temperature: float = Field(
        default=TEMPERATURE,
        ge=0,
        le=5,
        description="0: the likeliest character each time; 1: by the probabilities",
    )
    seed: int = Field(
        default_factory=_new_seed,
        ge=0,
        le=_SEEDS - 1,
        description="of the random numbers; by default a new one",
    )


def as_read(text: str, mask: Sequence[str]) -> tuple[str, list[str]]:
    """A text as a model reads it, and the kinds of personal data that were masked.

    Args:
        mask: the kinds that the model's data masks.
    """
    from headrace.media.text import personal  # a server of images does without

    return personal.mask(text.replace("\r\n", "\n").replace("\r", "\n"), mask)


class TextModel:
    """A language model that writes; one text at a time.

    Args:
        loaded: a model of a task that writes.
        name: of the model.

    Raises:
        UsageError: it is a model of another task.
    """

    def __init__(self, loaded: LoadedModel, name: str) -> None:
        learned = loaded.description.task
        if not task(learned).writes:
            raise UsageError(
                f"{name} is a model for {learned}, which writes no texts.",
                "Name a model whose pipeline has task = 'generation'.",
            )
        self.name, self.version = name, loaded.version
        self._kinds = loaded.description.mask
        self._writer = Writer(loaded.model)

    def prompt_of(self, request: TextRequest) -> str:
        """The prompt as the model reads it: as a text of its train split.

        Raises:
            InputError: the model does not know one of its characters.
        """
        text, kinds = as_read(request.prompt, self._kinds)
        try:
            self._writer.ids(text)
        except InputError as error:
            if not kinds:
                raise
            raise InputError(
                f"The prompt has personal data ({', '.join(kinds)}), which is masked "
                f"before the model reads it: {text[:_SHOWN]!r}. {error.message}",
                "Leave the personal data out.",
            ) from None
        return text

    def stream(self, request: TextRequest) -> Iterator[str]:
        """The text after the prompt, in pieces.

        Where personal data is masked, a piece is a whole line, so that no half of it
        leaves unmasked.

        Raises:
            InputError: the model does not know a character of the prompt.
        """
        prompt = self.prompt_of(request)
        pieces = stream_text(
            self._writer,
            prompt,
            request.seed,
            request.characters,
            request.temperature,
            may_end=not request.lines,
        )
        if self._kinds:
            pieces = self._masked(pieces, prompt.rpartition("\n")[2])
        return _first_lines(pieces, request.lines) if request.lines else pieces

    def _masked(self, pieces: Iterator[str], begun: str) -> Iterator[str]:
        """Masked lines; the prompt has begun the first one, perhaps amid a number."""
        held = begun
        for piece in pieces:
            whole, line_end, held = (held + piece).rpartition("\n")
            if line_end:
                yield _after(begun, self._mask(whole)) + line_end
                begun = ""
        yield _after(begun, self._mask(held))

    def _mask(self, text: str) -> str:
        return as_read(text, self._kinds)[0]

    def write(self, request: TextRequest) -> str:
        """The prompt and what follows it; raises what `stream` raises."""
        return self.prompt_of(request) + "".join(self.stream(request))


def _after(begun: str, text: str) -> str:
    """What follows where a text differs from what has begun it."""
    equal = [ours == theirs for ours, theirs in zip(begun, text, strict=False)]
    return text[[*equal, False].index(False) :]


def _first_lines(pieces: Iterator[str], lines: int) -> Iterator[str]:
    """The pieces, up to the end of the last of some lines."""
    left = lines
    for piece in pieces:
        ends = piece.count("\n")
        if ends < left:
            left -= ends
            yield piece
            continue
        yield "\n".join(piece.split("\n")[:left])
        return


def open_text_model(name: str, settings: Settings | None = None) -> TextModel:
    """A version of a model that writes, loaded.

    Args:
        name: ``MODEL``, which is its champion; ``MODEL@champion`` or
            ``MODEL/VERSION``.
        settings: None: those of the environment.

    Raises:
        NotFoundError: there is no such version.
        UsageError: it is a model of another task.
        IntegrityError: its file is gone or changed.
    """
    loaded = load(name, settings, at_first_use=True)
    return TextModel(loaded, model_of(name))


def generate(name: str, settings: Settings | None = None, **wishes: Any) -> str:
    """A text of a model, from its prompt on.

    Args:
        name: as for `open_text_model`.
        settings: None: those of the environment.
        wishes: fields of `TextRequest`, such as ``prompt`` and ``seed``.

    Raises:
        InputError: a value is out of range, or the model does not know a character of
            the prompt; and what `open_text_model` raises.
    """
    request = TextRequest(**wishes)
    return open_text_model(name, settings).write(request)


@dataclass(frozen=True)
class SpokenMessage:
    """A message as a sound.

    Attributes:
        sound: float32 ``(samples,)`` in -1 to 1.
        sample_rate_hz: samples in a second.
        texts: the known texts that it was joined from.
    """

    sound: npt.NDArray[np.float32]
    sample_rate_hz: int
    texts: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """How long the sound lasts."""
        return len(self.sound) / self.sample_rate_hz

    def save(self, path: Path | str) -> None:
        """Write it to a file; the suffix says in which format.

        Raises:
            UsageError: the suffix is not one of `SUFFIXES`.
            DependencyError: the disk failed.
        """
        import soundfile

        path = Path(path)
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(
                f"{path} has no suffix of a sound that can be written.",
                f"Name it with one of {', '.join(SUFFIXES)}.",
            )
        kind = path.suffix.lower()[1:].upper()
        with disk_errors(str(path)), atomic_file(path) as temporary:
            soundfile.write(temporary, self.sound, self.sample_rate_hz, format=kind)


def say(model: LoadedModel, message: str, **fields: Any) -> SpokenMessage:
    """Say a message; the same arguments give the same sound.

    Args:
        model: of a speech synthesis.
        message: texts that the model knows, with blanks between them.
        fields: of each text: ``speaker`` (by default the first), ``variation`` (0 to
            2, by default 1), ``seed`` (0), ``seconds`` (the model's own length).

    Raises:
        UsageError: the model does not speak.
        InputError: an unknown text, speaker or field, or a value out of range.
    """
    data = model.description
    learned = task(data.task)
    if not learned.speaks:
        raise UsageError(
            f"The model is one of {data.task}, and does not speak.",
            "Name a model of a pipeline with task = 'synthesis'.",
        )
    questions = learned.speech.questions(message, fields, data)
    sound = learned.speech.joined(model(questions), data)
    texts = tuple(question["text"] for question in questions)
    return SpokenMessage(sound, data.sample_rate_hz, texts)
