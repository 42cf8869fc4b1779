"""The route that says a message: a sound file, joined from the texts of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import InputError
from headrace.tasks import asked
from headrace.use.serving.plain import json_object
from headrace.use.serving.replies import NO_SNIFF, HttpError, Reply

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.tasks.forms import Outputs
    from headrace.use.serving.served import Served

WAV = (b"content-type", b"audio/wav")


def questions_of(served: Served, body: bytes) -> Payload:
    """The questions for the message in a body, as a model takes them.

    Args:
        served: the version that is to speak.
        body: a JSON object with ``text`` and other fields of a question.

    Raises:
        HttpError: 404 where the version does not speak, 400 for a body that is no JSON
            object, 422 for an unknown text or a value out of range.
    """
    data = served.description
    if not served.task.speaks:
        raise HttpError(404, f"{served} is a model for {data.task}, and says nothing.")
    fields: dict[str, Any] = json_object(body)
    message = fields.pop("text", None)
    if not isinstance(message, str):
        raise HttpError(422, 'The body has no text; send {"text": "..."}.')
    try:
        questions = served.task.speech.questions(message, fields, data)
        return asked(data).check_input(questions, data)
    except InputError as error:
        raise HttpError(422, str(error)) from None


def sound_reply(served: Served, outputs: Outputs) -> Reply:
    """The answers to the questions of a message as one WAV file."""
    speech, data = served.task.speech, served.description
    file = speech.file(speech.joined(outputs, data), data)
    return Reply(200, [WAV, NO_SNIFF, served.version_header], file)
