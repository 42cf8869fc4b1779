"""Writes texts with a saved model, a few characters at a time.

The model called ``next`` is called once for each character, in one compiled loop, and
its states are carried from call to call. A text follows from the model, the prompt, the
temperature and the seed alone: its random numbers are its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError
from headrace.imports.backend import count_below, layers_of, repeated
from headrace.tasks.forms import some
from headrace.tasks.generation.data import Codes
from headrace.tasks.generation.following import Following
from headrace.tasks.generation.network import UNKNOWN

BOUND, FIRST = 0, 2  # ids: of the bounds of a document, and the first of known ones
STEPS = 512  # characters of one call
TEMPERATURE = 0.8  # of texts that people ask for, and by which a model is judged
_IMPOSSIBLE = -1e30
_COLDEST = 1e-4  # below, the likeliest character is always taken
_BELOW_ONE = 1 - 1e-6
_SHOWN = 5

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


def vocabulary_of(model: Any) -> list[int]:
    """The code point of each id, by the one lookup in a model; 0 and -1 are none."""
    (lookup,) = [x for x in layers_of(model) if hasattr(x, "get_vocabulary")]
    return [int(code) for code in lookup.get_vocabulary()]


@dataclass(slots=True)
class Draft:
    """Texts that are being written.

    Attributes:
        scores: logits of the next character, float32 ``(texts, ids)``.
        ended: whether each text has ended, bool ``(texts,)``.
        states: of the model, each ``(texts, ...)``.
    """

    scores: Any
    ended: Any
    states: list[Any]


class Writer:
    """Writes with one model; it can be used by one thread at a time.

    Args:
        model: a saved model of this task.

    Attributes:
        characters: that the model knows, by their frequency.
        codes: the code point of each id, int32 ``(ids,)``; 0 for all that are none.

    Raises:
        SpecError: it is the model of another task.
    """

    def __init__(self, model: Any) -> None:
        self._following = Following(model)
        vocabulary = vocabulary_of(model)
        self.characters = "".join(map(chr, vocabulary[FIRST:]))
        self._ids = {code: id_ for id_, code in enumerate(vocabulary) if code > 0}
        width, states = self._following.width, self._following.states
        self.codes = np.zeros(width, np.int32)
        self.codes[: len(vocabulary)] = np.maximum(vocabulary, 0)
        self._bias = np.full(width, _IMPOSSIBLE, np.float32)
        self._bias[: len(vocabulary)] = 0
        self._bias[UNKNOWN] = _IMPOSSIBLE
        self._is_end = np.zeros(width, np.float32)
        self._is_end[BOUND] = 1
        self._last = len(vocabulary) - 1
        self._zeros = [(shape[1:], dtype) for shape, dtype in states]
        carried = [((None, width), "float32"), *states]
        self._read = repeated(self._read_step, [], carried)
        settings = [((), "float32"), ((width,), "float32")]
        self._write = repeated(self._write_step, settings, carried)

    def ids(self, text: str) -> Ids:
        """The ids of a text, int32 ``(characters,)``.

        Raises:
            InputError: the model does not know one of its characters.
        """
        if unknown := sorted({c for c in text if ord(c) not in self._ids}):
            listed = some([f"{c!r} (U+{ord(c):04X})" for c in unknown], _SHOWN)
            raise InputError(
                f"The model has not learned these characters of the prompt: {listed}.",
                f"It knows {len(self._ids):,} characters; leave the others out.",
            )
        return np.array([self._ids[ord(c)] for c in text], np.int32)

    def begin(self, prompt: str = "", texts: int = 1) -> Draft:
        """Begin texts with a prompt.

        Raises:
            InputError: the model does not know one of its characters.
        """
        read = np.array([[BOUND], *self.ids(prompt)[:, np.newaxis]], np.float32)
        scores = np.zeros((1, len(self.codes)), np.float32)
        zeros = [np.zeros((1, *shape), dtype) for shape, dtype in self._zeros]
        _, *carried = self._read(read, scores, *zeros)
        scores, *states = (np.repeat(np.asarray(v), texts, axis=0) for v in carried)
        return Draft(scores, np.zeros(texts, bool), states)

    def write(
        self,
        draft: Draft,
        random: Floats,
        temperature: float,
        *,
        may_end: bool = True,
    ) -> Codes:
        """Write on, once for each random number.

        Args:
            draft: is written on in place.
            random: uniform numbers from 0 to 1, float32 ``(characters, texts)``.
            temperature: by which logits are divided; 0: the likeliest character.
            may_end: whether the model may end a text.

        Returns:
            code points int32 ``(characters, texts)``, 0 after the end of a text.
        """
        cold = np.float32(1 / max(temperature, _COLDEST))
        uniform = np.minimum(random, np.float32(_BELOW_ONE))
        bias = self._bias if may_end else self._bias + self._is_end * _IMPOSSIBLE
        given = (uniform, cold, bias, draft.scores, *draft.states)
        ids, draft.scores, *draft.states = self._write(*given)
        ids = np.array(ids)
        # What the loop writes after an end means nothing.
        ended = np.logical_or.accumulate((ids == BOUND) | draft.ended)
        ids[ended] = BOUND
        draft.ended = ended[-1]
        return np.asarray(self.codes[ids])

    def _read_step(self, given: Any, scores: Any, *states: Any) -> Any:
        """Read a character."""
        from keras import ops

        ids = ops.cast(given, "int32")
        return ids, *self._following(ids, *states)

    def _write_step(
        self, uniform: Any, cold: Any, bias: Any, scores: Any, *states: Any
    ) -> Any:
        """Choose a character by the inverse of its distribution, and read it."""
        from keras import ops

        sums = ops.cumsum(ops.softmax(scores * cold + bias), axis=1)
        below = count_below(sums, uniform)
        # The sum of all may be rounded to less than the number.
        chosen = ops.minimum(below, self._last)
        return chosen, *self._following(chosen, *states)


def write_texts(
    writer: Writer,
    seeds: Sequence[int],
    most: int,
    temperature: float,
    prompt: str = "",
) -> list[Codes]:
    """Whole texts, each from its own seed, without the prompt.

    Args:
        writer: of the model.
        seeds: one for each text.
        most: characters of a text.
        temperature: as in `Writer.write`.
        prompt: of all of them.

    Returns:
        code points of each, ``(characters,)``.
    """
    draft, written = writer.begin(prompt, len(seeds)), [np.empty((0, len(seeds)), int)]
    sources = [np.random.default_rng(seed) for seed in seeds]
    for start in range(0, most, STEPS):
        count = min(STEPS, most - start)
        random = np.stack([one.random(count, np.float32) for one in sources], axis=1)
        written.append(writer.write(draft, random, temperature))
        if np.asarray(draft.ended).all():
            break
    codes = np.concatenate(written).T.astype(np.int32)
    sizes = np.where((codes == 0).any(1), (codes == 0).argmax(1), codes.shape[1])
    return [row[:size] for row, size in zip(codes, sizes.tolist(), strict=True)]


def stream_text(
    writer: Writer,
    prompt: str,
    seed: int,
    most: int,
    temperature: float,
    *,
    may_end: bool = True,
) -> Iterator[str]:
    """One text in pieces, of growing length so that the first comes soon.

    It is the text that `write_texts` gives for the seed. Unless it may end, it has all
    of its characters.
    """
    draft, source = writer.begin(prompt), np.random.default_rng(seed)
    size, left = 1, most
    while left > 0:
        count = min(size, left)
        random = source.random(count, np.float32)[:, np.newaxis]
        written = writer.write(draft, random, temperature, may_end=may_end)
        codes = written[:, 0].tolist()
        ended = bool(np.asarray(draft.ended)[0])
        yield "".join(map(chr, codes[: codes.index(0)] if ended else codes))
        if ended:
            return
        left -= count
        size = min(4 * size, STEPS)
