"""Long JSON: read beside the event loop, in short steps, and with a bounded memory.

Python's parser builds all values before any other thread has its turn. So the values
are counted before they are built, and a long list of numbers is parsed in pieces.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from headrace.serving.replies import HttpError

SHORT_BYTES = 2**15  # what is parsed at once, in a few milliseconds at most
MOST_VALUES = 10_000  # of longer JSON, without the numbers in a tensor
STEP_BYTES = 2**16
MARK = secrets.token_hex(16)  # stands for the numbers
_DATA = re.compile(rb'"data"\s*:\s*(?=\[)')
_NUMBERS = b"0123456789+-.eE,[] \t\r\n"


def check_values(body: bytes) -> None:
    """Refuse long JSON of many values, before they are built.

    Raises:
        HttpError: 400, with the limit.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) < MOST_VALUES:
        return
    if json.detect_encoding(body) not in {"utf-8", "utf-8-sig"}:
        raise HttpError(400, "The JSON is not UTF-8.")
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")
    text = np.frombuffer(plain, np.uint8)
    is_string = np.logical_xor.accumulate(text == ord('"'))
    is_mark = (text == ord(",")) | (text == ord("[")) | (text == ord("{"))
    if np.count_nonzero(is_mark & ~is_string) >= MOST_VALUES:
        raise HttpError(
            400,
            f"The JSON has more than {MOST_VALUES:,} values; so many are taken only as "
            "the numbers in the data of an input.",
        )


class JsonNumbers:
    """A list of numbers in JSON, perhaps nested.

    Args:
        body: the JSON.
        start: where the list begins.

    Attributes:
        end: where the rest of the JSON begins.

    Raises:
        HttpError: 400 where the list does not end.
    """

    def __init__(self, body: bytes, start: int) -> None:
        text = np.frombuffer(body, np.uint8, offset=start)
        steps = (text == ord("[")).view(np.int8) - (text == ord("]")).view(np.int8)
        # Numpy holds other threads up while it casts and adds at once.
        depth = np.cumsum(steps.astype(np.int32), dtype=np.int32)
        size = int((depth == 0).argmax()) + 1
        if depth[size - 1]:
            raise HttpError(400, "The body is not JSON: the list data does not end.")
        self.start, self.end = start, start + size
        self._body = body
        self._is_border = (text[:size] == ord(",")) & (depth[:size] == 1)

    def pieces(self, shape: Sequence[int], wanted: str) -> Iterator[list[Any]]:
        """The list in parts, each of whole elements.

        Args:
            shape: of the tensor, which limits the values of an element.
            wanted: what the list should be, for messages.

        Raises:
            HttpError: 400 for what is not JSON, no number, or more than an element has.
        """
        sides = range(1, len(shape) + 1)
        most = STEP_BYTES + sum(math.prod(shape[1:side]) for side in sides)
        begin, last = 1, len(self._is_border) - 1
        while True:
            stop = self._next_border(begin + STEP_BYTES)
            piece = self._body[self.start + begin : self.start + stop]
            if odd := piece.translate(None, _NUMBERS):
                place = piece.index(odd[:1])
                shown = piece[place : place + 20].decode("latin-1")
                raise HttpError(400, f"data has {shown!r}; {wanted}.")
            if piece.count(b",") + piece.count(b"[") > most:
                raise HttpError(400, f"An item in data has too many values; {wanted}.")
            yield self._parsed(piece, begin)
            if stop == last:
                return
            begin = stop + 1

    def _next_border(self, place: int) -> int:
        """Where the next element ends at or after a place, or the list does."""
        last = len(self._is_border) - 1
        if place >= last:
            return last
        border = place + int(self._is_border[place:].argmax())
        return border if self._is_border[border] else last

    def _parsed(self, piece: bytes, begin: int) -> list[Any]:
        is_missing = begin > 1 and not piece.strip()  # after a comma
        text = b"[0,]" if is_missing else b"[%b]" % piece
        try:
            values: list[Any] = json.loads(text)
        except json.JSONDecodeError as error:
            place = self.start + begin + error.pos
            message = f"{error.msg} at byte {place:,}"
        except RecursionError:
            message = "it is nested too deep"
        except ValueError:  # Python's limit of digits
            message = "a number has too many digits"
        else:
            return values
        raise HttpError(400, f"The body is not JSON: {message}.")


def cut_numbers(body: bytes) -> tuple[bytes, JsonNumbers | None]:
    """Long JSON with `MARK` in place of its first list ``data``, and the list."""
    begin = _DATA.search(body) if len(body) > SHORT_BYTES else None
    if begin is None:
        return body, None
    numbers = JsonNumbers(body, begin.end())
    mark = f'"{MARK}"'.encode()
    return body[: begin.end()] + mark + body[numbers.end :], numbers
