"""The answers of the plain route, and its questions to a version that speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.serving.plain import json_object
from headrace.serving.replies import NO_SNIFF, HttpError, Reply, encoded
from headrace.tasks import asked

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.serving.served import Served
    from headrace.tasks.forms import Outputs

WAV = (b"content-type", b"audio/wav")


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


def not_finite(served: Served) -> HttpError:
    """The refusal of an item to which the model has no finite answer."""
    return HttpError(422, f"{served} has no finite answer to this item.")


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
