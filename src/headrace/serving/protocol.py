"""The Open Inference Protocol v2 over REST: requests and answers.

JSON, and the binary extension, where ``Inference-Header-Content-Length`` gives the
bytes of the JSON before the tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from headrace.errors import InputError
from headrace.serving.bodies import json_object, shortened
from headrace.serving.replies import (
    JSON,
    NO_SNIFF,
    Headers,
    HttpError,
    Reply,
    encoded,
    not_finite,
)
from headrace.serving.tensors import Inference, array_of
from headrace.tasks.wire import checked

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.serving.served import Served
    from headrace.tasks.forms import Outputs

EXTENSIONS = ["binary_tensor_data"]
BINARY = (b"content-type", b"application/octet-stream")
HEADER_LENGTH = b"inference-header-content-length"
_FILES = (b"image/", b"audio/", b"video/")


class InferRequest:
    """A request for inference, checked.

    Attributes:
        items: as the model takes them, ``(n, ...)``.
        id: of the request, as JSON; None if it has none.
        own_id: the same in bytes; empty if it has none.
        binary: whether the output is to be binary.
    """

    def __init__(self, items: Payload, id_: str | None, binary: bool) -> None:
        self.items = items
        self.id = id_
        self.own_id = (id_ or "").encode(errors="replace")
        self.binary = binary


def parse(
    served: Served, body: bytes, length: bytes | None, media_type: bytes = b""
) -> InferRequest:
    """Check a request for inference.

    Args:
        served: the version that answers.
        body: JSON, and perhaps tensors.
        length: the header ``Inference-Header-Content-Length``.
        media_type: the header ``Content-Type``; empty if there is none.

    Raises:
        HttpError: 415 for another media type, 413 for more values or lists than
            are taken, 400 for what is not of the protocol.
        InputError: the input is no item.
    """
    kind = media_type.partition(b";")[0].strip().lower()
    if kind.startswith(_FILES) or kind.endswith((b"/xml", b"+xml")):
        shown = media_type[:100].decode("latin-1")
        raise HttpError(
            415, f"The Content-Type is {shown!r}; wanted is application/json."
        )
    tail = memoryview(b"")
    if length is not None:
        count = _whole(length, "The header Inference-Header-Content-Length")
        if count > len(body):
            raise HttpError(
                400,
                f"The header Inference-Header-Content-Length is {count:,}, but the "
                f"body has {len(body):,} bytes.",
            )
        if not count:
            raise HttpError(
                400,
                "The header Inference-Header-Content-Length is 0; a tensor alone is "
                "not taken. Send the request in JSON before it.",
            )
        tail, body = memoryview(body)[count:], body[:count]
    tensors = served.tensors
    try:
        request = checked(Inference, json_object(body, tensors.most_values))
    except InputError as error:
        raise HttpError(400, str(error)) from None
    (tensor,) = request.inputs
    _check_one("inputs[0].name", tensor.name, [tensors.input_name])
    _check_one("inputs[0].datatype", tensor.datatype, tensors.datatypes)
    binary = request.parameters.binary_data_output
    for output in request.outputs:
        _check_one("outputs[0].name", output.name, [tensors.output_name])
        if output.parameters.binary_data is not None:
            binary = output.parameters.binary_data
    has_booleans = b"true" in body or b"false" in body
    array = array_of(tensor, tensors, tail, has_booleans=has_booleans)
    items = tensors.questions.check_input(array, served.description)
    return InferRequest(items, request.id, binary)


def _check_one(field: str, value: str, wanted: Sequence[str]) -> None:
    if value not in wanted:
        known = " or ".join(map(repr, wanted))
        shown = shortened(value)
        raise HttpError(400, f"The value of {field} is {shown}; wanted is {known}.")


def _whole(text: bytes, name: str) -> int:
    if not text.isdigit() or len(text) > 12:
        shown = text[:20].decode("latin-1")
        raise HttpError(400, f"{name} is {shown!r}; wanted is a whole number.")
    return int(text)


def reply_of(
    served: Served, request: InferRequest, outputs: Outputs, id_: str
) -> Reply:
    """The reply to a request for inference.

    Args:
        id_: of the request, where its body has none.

    Raises:
        HttpError: an output is not finite.
    """
    if not np.isfinite(outputs).all():
        raise not_finite(served)
    tensor: dict[str, Any] = {
        "name": served.tensors.output_name,
        "datatype": "FP32",
        "shape": list(outputs.shape),
    }
    value = {
        "model_name": served.model,
        "model_version": str(served.version),
        "id": id_ if request.id is None else request.id,
        "outputs": [tensor],
    }
    if request.binary:
        data = outputs.astype("<f4", copy=False).tobytes()
        tensor["parameters"] = {"binary_data_size": len(data)}
        head = encoded(value)
        headers: Headers = [
            BINARY,
            NO_SNIFF,
            (HEADER_LENGTH, str(len(head)).encode()),
        ]
        headers.append(served.version_header)
        return Reply(200, headers, head + data)
    tensor["data"] = outputs.ravel().tolist()
    return Reply(200, [JSON, NO_SNIFF, served.version_header], orjson.dumps(value))
