"""The plain route: an item as people have it, and an answer that they can read.

Items are decoded as the training data was, by the code of their medium.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from email.message import Message
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.data.preparing import advice_on, decode_one, fit_one
from headrace.media.forms import Problem
from headrace.serving.bodies import json_object, parse_json, shortened
from headrace.serving.replies import NO_SNIFF, HttpError, Reply, encoded, not_finite
from headrace.tasks import asked, asks_items, task

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.media.interface import Medium
    from headrace.records import DataDescription, Form
    from headrace.serving.served import Served
    from headrace.tasks.forms import Outputs

WAV = (b"content-type", b"audio/wav")
Parts = Callable[["Payload", "DataDescription"], "Payload | Problem"]
RAW = "application/octet-stream"
JSON_TYPE = "application/json"
FORM = "multipart/form-data"
_UNSAID = ("", "application/x-www-form-urlencoded")  # the latter by `curl --data`


def answer_body(
    served: Served, request_id: str, output: Any, shown: str | None
) -> bytes:
    """The JSON of an answer.

    Args:
        output: of one item.
        shown: HTML of the item that the model saw.

    Raises:
        HttpError: the answer is not finite.
    """
    try:
        answer = served.write(output)
    except FloatingPointError:
        raise not_finite(served) from None
    html = "" if shown is None else f',"input":{encoded(shown).decode()}'
    return f'{served.start},"request_id":"{request_id}",{answer}{html}}}'.encode()


def message_of(served: Served, body: bytes) -> Payload:
    """The questions for the message in a body, as a model takes them.

    Args:
        served: the version that is to speak.
        body: a JSON object with ``text`` and other fields of a question.

    Raises:
        HttpError: 404 where the version does not speak, 400 for a body that is no JSON
            object, 422 for one without a text.
        InputError: an unknown text, or a value out of range.
    """
    data = served.description
    if not served.task.speaks:
        raise HttpError(404, f"{served} is a model for {data.task}, and says nothing.")
    fields: dict[str, Any] = json_object(body)
    message = fields.pop("text", None)
    if not isinstance(message, str):
        raise HttpError(422, 'The body has no text; send {"text": "..."}.')
    questions = served.task.speech.questions(message, fields, data)
    return asked(data).check_input(questions, data)


def sound_reply(served: Served, outputs: Outputs) -> Reply:
    """The answers to the questions of a message as one WAV file."""
    speech, data = served.task.speech, served.description
    file = speech.file(speech.joined(outputs, data), data)
    return Reply(200, [WAV, NO_SNIFF, served.version_header], file)


class PlainReader:
    """Reads the one item of a request to a model.

    Args:
        module: the medium.
        data: of the version that answers.
        item_bytes: of a decoded item at most.
        encoding: of texts that are not Unicode; empty where none is known.

    Attributes:
        types: the media types that it takes.
        resizes: whether items of any size are brought to the shape.
        longest: of an item that is longer than the shape, and is answered in parts, the
            most values; 0 where none is.
    """

    def __init__(
        self,
        module: Medium,
        data: DataDescription,
        item_bytes: int,
        encoding: str = "",
    ) -> None:
        self._data, self._medium = data, module
        self._questions = asked(data)
        self._item_bytes, self._encoding = item_bytes, encoding
        self._dtype = module.DTYPE.newbyteorder("<")
        self._shape = (1, *data.shape)
        self._bytes = math.prod(data.shape) * module.DTYPE.itemsize
        self._is_fixed = not (module.PADDED or module.IS_TEXT)
        self._form: Form = data
        self.resizes = bool(data.options)
        self._parts: Parts | None = None
        self.longest = 0
        long = module.long_form(data) if task(data.task).joins_parts else None
        if long is not None:
            self._form, self._parts = long, module.parts
            self.longest = math.prod(self._form.shape or ()) - 1
        self._asks_items = asks_items(data)
        self.types = [*module.MEDIA_TYPES, FORM, RAW] if self._asks_items else []
        if module.IS_TEXT or not self._asks_items:
            self.types.append(JSON_TYPE)

    def read(self, media_type: bytes, body: bytes) -> tuple[Payload, Payload]:
        """An item ``(1, *shape)``, as in a snapshot and as a model takes it.

        An item that is longer than the shape is given in parts, ``(parts, *shape)``,
        where the task joins their answers.

        Args:
            media_type: the header ``Content-Type``; empty if there is none.
            body: of the request.

        Raises:
            HttpError: 415 for another media type, 400 for malformed JSON or a malformed
                form, 422 for what is no item of the model's form.
            InputError: it is one, but not for this model.
        """
        fixed = self._is_fixed and self._asks_items
        if media_type == b"application/octet-stream" and fixed:
            return self._raw(body)
        kind = media_type.partition(b";")[0].strip().lower().decode("latin-1")
        # A file is then known by its first bytes.
        is_file = kind in _UNSAID and self._asks_items and not self._medium.IS_TEXT
        if not (kind or is_file):
            raise HttpError(
                415, f"There is no Content-Type; give one of {', '.join(self.types)}."
            )
        if not (is_file or any(_is_of(kind, taken) for taken in self.types)):
            raise HttpError(
                415,
                f"The Content-Type is {kind[:100]!r}; this model takes "
                f"{', '.join(self.types)}.",
            )
        if not self._asks_items:
            return self._question(body)
        if kind == FORM:
            return self._fitted(
                self._decoded(file_of(media_type.decode("latin-1"), body))
            )
        if kind == RAW and self._is_fixed:
            return self._raw(body)
        if kind == RAW and not self._medium.IS_TEXT:
            if not body or len(body) % self._dtype.itemsize:
                raise HttpError(
                    422,
                    f"The body has {len(body):,} bytes; wanted are {self._dtype} "
                    f"{self._medium.UNITS}, little endian.",
                )
            return self._fitted(
                np.frombuffer(body, self._dtype).astype(self._medium.DTYPE, copy=False)
            )
        if kind == JSON_TYPE:
            body = _text_of(body)
        return self._fitted(self._decoded(body))

    def as_html(self, item: Payload) -> str:
        """An item as people see or hear it; nothing where questions are not items."""
        return self._medium.as_html(item, self._data) if self._asks_items else ""

    def _question(self, body: bytes) -> tuple[Payload, Payload]:
        """The question that the fields of a JSON object are."""
        question = self._questions.check_input([json_object(body)], self._data)
        return self._questions.as_stored(question, self._data), question

    def _raw(self, body: bytes) -> tuple[Payload, Payload]:
        """The item whose bytes a body is."""
        if len(body) != self._bytes:
            sides = " x ".join(map(str, self._shape[1:]))
            raise HttpError(
                422,
                f"The body has {len(body):,} bytes; an item of {sides} "
                f"{self._medium.UNITS} has {self._bytes:,}, of {self._dtype}. "
                f"Send these, or a file with its Content-Type: {self.types[0]}.",
            )
        payload = np.frombuffer(body, self._dtype).reshape(self._shape)
        return payload, self._questions.raw(payload)

    def _decoded(self, body: bytes) -> Payload:
        """The item in a file."""
        item = decode_one(
            body, self._medium, self._form, self._item_bytes, self._encoding
        )
        if isinstance(item, Problem):
            raise _refused(item)
        return item

    def _fitted(self, item: Payload) -> tuple[Payload, Payload]:
        payload = self._in_shape(item)
        if isinstance(payload, Problem):
            raise _refused(payload)
        raw = self._questions.raw(payload)
        return payload, self._questions.check_input(raw, self._data)

    def _in_shape(self, item: Payload) -> Payload | Problem:
        """The item as ``(1, *shape)``, or its parts ``(parts, *shape)``."""
        if self._parts is not None:
            return self._parts(item, self._data)
        return fit_one(item, self._medium, self._data.shape)


def _refused(problem: Problem) -> HttpError:
    advice = advice_on(problem)
    return HttpError(422, f"{problem.check}: {problem.reason}. {advice}")


def _is_of(kind: str, taken: str) -> bool:
    """Whether a media type is one that is taken, such as ``image/*``."""
    return kind == taken or (taken.endswith("/*") and kind.startswith(taken[:-1]))


def file_of(media_type: str, body: bytes) -> bytes:
    """The content of the one part of a form (RFC 7578).

    Args:
        media_type: the header ``Content-Type``, which names the boundary.
        body: of the request.

    Raises:
        HttpError: 400 for a form without an end, or with more than one part.
    """
    header = Message()
    header["Content-Type"] = media_type
    try:  # it may be in any encoding (RFC 2231)
        boundary = (header.get_boundary() or "").encode("latin-1")
    except ValueError:
        boundary = b""
    between = b"\r\n--" + boundary
    _, *parts = (b"\r\n" + body).split(between, 2)
    _, blank, content = parts[0].partition(b"\r\n\r\n") if parts else (b"",) * 3
    if not boundary or len(parts) != 2 or not blank:
        raise HttpError(
            400, "The body is not a form with the boundary of its Content-Type."
        )
    if not parts[1].startswith(b"--"):
        raise HttpError(
            400, "The form has more than one part. Send one item: -F file=@FILE."
        )
    return content


def _text_of(body: bytes) -> bytes:
    value = parse_json(body)
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str) or len(value) != 1:
        raise HttpError(
            422, f'The body is {shortened(value)}; wanted is {{"text": "…"}}.'
        )
    return text.encode()
