"""Says a message with a model of a speech synthesis.

>>> import headrace  # doctest: +SKIP
>>> speech = say(
...     headrace.load("digit_voice"), "3 1 4", speaker="nicolas"
... )  # doctest: +SKIP
>>> speech.save("pi.wav")  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import UsageError
from headrace.models.logged.loading import LoadedModel
from headrace.state.disk import atomic_file, disk_errors
from headrace.tasks import task

SUFFIXES = (".wav", ".flac", ".ogg")


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
