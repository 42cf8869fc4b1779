"""What all engines have in common."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from headrace.media.forms import Payload
from headrace.models.engines.pieces import WordPieces
from headrace.models.logged.golden import Answering
from headrace.models.logged.loading import IDS, of_any_length, rows_at_once
from headrace.tasks.forms import Outputs

TOLERANCE = 1e-5  # of an answer, from the trained model's


class Engine(Protocol):
    """What computes the answers of one version of a model.

    Attributes:
        name: ``keras`` or ``onnx``.
    """

    name: str

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``.

        Args:
            items: ``(n, ...)``, as `Medium.check_input` returns them.
        """

    def close(self) -> None:
        """End its process, if it has one, and free its memory."""


def in_blocks(answering: Answering, items: Payload, shape: tuple[int, ...]) -> Outputs:
    """Answers to any number of items, none included, in bounded memory.

    Args:
        shape: of one answer.
    """
    rows = rows_at_once(shape)
    if 0 < len(items) <= rows:
        return answering(items)
    starts = range(0, len(items), rows)
    parts = [answering(items[start : start + rows]) for start in starts]
    return np.concatenate([np.empty((0, *shape), np.float32), *parts])


class TextEngine:
    """An engine of ids with what makes them of texts before it.

    Args:
        pieces: from texts ``(n,)`` to ids.
        engine: from ids of any length to answers.
    """

    def __init__(self, pieces: WordPieces, engine: Engine) -> None:
        self.name = engine.name
        self._pieces, self._engine = pieces, engine

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``, in order of length; see `of_any_length`."""
        return of_any_length(self._engine, self._pieces(items), IDS)

    def close(self) -> None:
        """Close the engine of ids."""
        self._engine.close()
