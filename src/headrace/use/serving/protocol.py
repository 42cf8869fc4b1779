"""The Open Inference Protocol v2 over REST: requests and answers.

JSON, and the binary extension, where ``Inference-Header-Content-Length`` gives the
bytes of the JSON before the tensors.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.use.serving.long_json import MARK, cut_numbers
from headrace.use.serving.plain import not_finite, parse_json, shortened
from headrace.use.serving.replies import (
    JSON,
    NO_SNIFF,
    Headers,
    HttpError,
    Reply,
    encoded,
)
from headrace.use.serving.tensors import Tensors, array_of, parameters_of

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.tasks.forms import Outputs
    from headrace.use.serving.served import Served

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
        HttpError: 415 for another media type, 400 for what is not of the protocol.
        InputError: the input is no item.
    """
    kind = media_type.partition(b";")[0].strip().lower()
    if kind.startswith(_FILES) or kind.endswith((b"/xml", b"+xml")):
        seen = media_type[:100].decode("latin-1")
        raise HttpError(
            415, f"The Content-Type is {seen!r}; wanted is application/json."
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
    tensors, numbers = served.tensors, None
    if tensors.datatypes != ["BYTES"]:
        body, numbers = cut_numbers(body)
    value = parse_json(body)
    if not isinstance(value, dict):
        raise HttpError(400, f"The request is {shortened(value)}; wanted is an object.")
    id_ = value.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise HttpError(400, f"id is {shortened(id_)}; wanted is a string.")
    tensor = _only_input(value, tensors)
    if numbers is not None and tensor.get("data") == MARK:
        tensor["data"] = numbers
    binary = _wants_binary(value, tensors)
    array = array_of(tensor, tensors, tail)
    items = served.tensors.questions.check_input(array, served.description)
    return InferRequest(items, id_, binary)


def _whole(text: bytes, name: str) -> int:
    if not text.isdigit() or len(text) > 12:
        seen = text[:20].decode("latin-1")
        raise HttpError(400, f"{name} is {seen!r}; wanted is a whole number.")
    return int(text)


def _only_input(value: dict[str, Any], tensors: Tensors) -> dict[str, Any]:
    inputs = value.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        seen = (
            f"{len(inputs)} inputs" if isinstance(inputs, list) else shortened(inputs)
        )
        raise HttpError(
            400, f"inputs is {seen}; wanted is a list of one: {tensors.input_name}."
        )
    tensor = inputs[0]
    if not isinstance(tensor, dict):
        raise HttpError(400, f"inputs[0] is {shortened(tensor)}; wanted is an object.")
    if tensor.get("name") != tensors.input_name:
        raise HttpError(
            400,
            f"The input is named {shortened(tensor.get('name'))}; the model's is "
            f"{tensors.input_name!r}.",
        )
    if tensor.get("datatype") not in tensors.datatypes:
        raise HttpError(
            400,
            f"The datatype is {shortened(tensor.get('datatype'))}; the model takes "
            f"{' or '.join(tensors.datatypes)}.",
        )
    return tensor


def _wants_binary(value: dict[str, Any], tensors: Tensors) -> bool:
    """Whether the one output is to be binary."""
    whole = parameters_of(value, "the request").get("binary_data_output", False)
    outputs = value.get("outputs", [])
    if not isinstance(outputs, list) or not all(isinstance(o, dict) for o in outputs):
        raise HttpError(
            400, f"outputs is {shortened(outputs)}; wanted is a list of objects."
        )
    if not isinstance(whole, bool):
        raise HttpError(
            400, f"binary_data_output is {shortened(whole)}; wanted is a boolean."
        )
    if len(outputs) > 1:
        raise HttpError(
            400,
            f"outputs names {len(outputs)}; the model has one: {tensors.output_name}.",
        )
    for output in outputs:
        if output.get("name") != tensors.output_name:
            raise HttpError(
                400,
                f"The output {shortened(output.get('name'))} is wanted; the model's is "
                f"{tensors.output_name!r}.",
            )
        own = parameters_of(output, "the output")
        if "classification" in own:
            raise HttpError(
                400, "The classification extension is not there; take the output."
            )
        binary = own.get("binary_data", whole)
        if not isinstance(binary, bool):
            raise HttpError(
                400, f"binary_data is {shortened(binary)}; wanted is a boolean."
            )
        return binary
    return whole


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
    return Reply(
        200, [JSON, NO_SNIFF, served.version_header], json.dumps(value).encode()
    )
