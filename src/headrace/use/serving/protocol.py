"""The Open Inference Protocol v2 over REST: requests and answers.

JSON, and the binary extension, where ``Inference-Header-Content-Length`` gives the
bytes of the JSON before the tensors.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import InputError
from headrace.use.serving.plain import not_finite, parse_json, shortened
from headrace.use.serving.replies import (
    JSON,
    NO_SNIFF,
    Headers,
    HttpError,
    Reply,
    encoded,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.media import Medium
    from headrace.media.forms import Payload
    from headrace.records import DataDescription
    from headrace.tasks import Task
    from headrace.tasks.forms import Outputs
    from headrace.use.serving.served import Served

PLATFORM = "headrace"
EXTENSIONS = ["binary_tensor_data"]
BINARY = (b"content-type", b"application/octet-stream")
HEADER_LENGTH = b"inference-header-content-length"
BATCH_LIMIT = 4096  # rows of one request
_DTYPES: dict[str, np.dtype[Any]] = {
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_WHOLE = "ui"


class Tensors:
    """The input and the output of a version, in the protocol's terms.

    Attributes:
        input_name, output_name: of the only input, and the only output.
        datatypes: that the input may have; the first one is the model's own.
    """

    def __init__(self, module: Medium, data: DataDescription, learned: Task) -> None:
        self.input_name = data.medium
        self.output_name = learned.answers.OUTPUT
        if module.IS_TEXT:
            self.datatypes, self.shape = ["BYTES"], [-1]
        else:
            zero = np.zeros((1, *data.shape), module.DTYPE)
            forms = [module.raw(zero), *module.variants(zero), zero]
            names = [_NAMES[form.dtype.newbyteorder("<")] for form in forms]
            self.datatypes, self.shape = list(dict.fromkeys(names)), [-1, *data.shape]
        self.width = learned.head.width(data)

    def metadata(self, model: str, versions: Iterable[int]) -> dict[str, Any]:
        """What ``/v2/models/{model}`` answers."""
        own = {"name": self.input_name, "datatype": self.datatypes[0]}
        outputs = {"name": self.output_name, "datatype": "FP32"}
        return {
            "name": model,
            "versions": [str(number) for number in sorted(versions)],
            "platform": PLATFORM,
            "inputs": [{**own, "shape": self.shape}],
            "outputs": [{**outputs, "shape": [-1, self.width]}],
        }


class InferRequest:
    """A request for inference, checked.

    Attributes:
        items: as the model takes them, ``(n, ...)``.
        id: of the request, as JSON; None if it has none.
        binary: whether the output is to be binary.
    """

    def __init__(self, items: Payload, id_: str | None, binary: bool) -> None:
        self.items = items
        self.id = id_
        self.binary = binary


def parse(served: Served, body: bytes, length: bytes | None) -> InferRequest:
    """Check a request for inference.

    Args:
        served: the version that answers.
        body: JSON, and perhaps tensors.
        length: the header ``Inference-Header-Content-Length``.

    Raises:
        HttpError: 400 for what is not of the protocol, 422 for what is no item.
    """
    tail = memoryview(b"")
    if length is not None:
        count = _whole(length, "The header Inference-Header-Content-Length")
        if count > len(body):
            raise HttpError(
                400,
                f"The header Inference-Header-Content-Length is {count:,}, but the "
                f"body has {len(body):,} bytes.",
            )
        tail, body = memoryview(body)[count:], body[:count]
    value = parse_json(body)
    if not isinstance(value, dict):
        raise HttpError(400, f"The request is {shortened(value)}; wanted is an object.")
    id_ = value.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise HttpError(400, f"id is {shortened(id_)}; wanted is a string.")
    tensors = served.tensors
    tensor = _only_input(value, tensors)
    binary = _wants_binary(value, tensors)
    array = _array_of(tensor, tensors, tail)
    try:
        items = served.medium.check_input(array, served.description)
    except InputError as error:
        raise HttpError(422, str(error)) from None
    return InferRequest(items, id_, binary)


def _whole(text: bytes, name: str) -> int:
    if not text.isdigit() or len(text) > 12:
        raise HttpError(400, f"{name} is {text[:20]!r}; wanted is a whole number.")
    return int(text)


def _parameters(value: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = value.get("parameters", {})
    if not isinstance(parameters, dict):
        seen = shortened(parameters)
        raise HttpError(400, f"parameters of {where} is {seen}; wanted is an object.")
    return parameters


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


def _shape_of(tensor: dict[str, Any], tensors: Tensors) -> list[int]:
    shape = tensor.get("shape")
    if (
        not isinstance(shape, list)
        or not all(type(side) is int for side in shape)
        or len(shape) != len(tensors.shape)
        or shape[1:] != tensors.shape[1:]
        or shape[0] < 1
    ):
        raise HttpError(
            400, f"The shape is {shortened(shape)}; wanted is {tensors.shape}."
        )
    if shape[0] > BATCH_LIMIT:
        raise HttpError(
            413, f"The request has {shape[0]:,} items; the limit is {BATCH_LIMIT:,}."
        )
    return shape


def _array_of(tensor: dict[str, Any], tensors: Tensors, tail: memoryview) -> Any:
    shape, datatype = _shape_of(tensor, tensors), tensor["datatype"]
    size = _parameters(tensor, "the input").get("binary_data_size")
    if size is None:
        if len(tail):
            raise HttpError(
                400, f"{len(tail):,} bytes follow the JSON, but no input is binary."
            )
        return _from_json(tensor.get("data"), shape, datatype)
    if type(size) is not int or size != len(tail) or "data" in tensor:
        raise HttpError(
            400,
            f"binary_data_size is {shortened(size)}; {len(tail):,} bytes follow the "
            "JSON, and a binary input has no data.",
        )
    if datatype == "BYTES":
        return _texts_in(tail, shape[0])
    dtype = _DTYPES[datatype]
    if size != math.prod(shape) * dtype.itemsize:
        raise HttpError(
            400,
            f"The input has {size:,} bytes; {datatype} of the shape {shape} has "
            f"{math.prod(shape) * dtype.itemsize:,}.",
        )
    return np.frombuffer(tail, dtype).reshape(shape)


def _texts_in(tail: memoryview, count: int) -> list[str]:
    """Texts, each after its length in 4 bytes."""
    texts: list[str] = []
    place = 0
    while place < len(tail) and len(texts) <= count:
        if place + 4 > len(tail):
            break
        (size,) = struct.unpack_from("<I", tail, place)
        if place + 4 + size > len(tail):
            break
        texts.append(_decoded(bytes(tail[place + 4 : place + 4 + size]), len(texts)))
        place += 4 + size
    if place != len(tail) or len(texts) != count:
        raise HttpError(
            400,
            f"The input has {len(texts):,} texts in {len(tail):,} bytes, each after "
            f"its length in 4 bytes; {count:,} in all bytes are wanted.",
        )
    return texts


def _decoded(data: bytes, place: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise HttpError(
            422, f"Text {place} is not UTF-8 at byte {error.start:,}."
        ) from None


def _from_json(data: Any, shape: list[int], datatype: str) -> Any:
    if not isinstance(data, list):
        raise HttpError(400, f"data is {shortened(data)}; wanted is a list.")
    if datatype == "BYTES":
        if len(data) != shape[0] or not all(isinstance(text, str) for text in data):
            raise HttpError(
                400, f"data is {shortened(data)}; wanted are {shape[0]:,} strings."
            )
        return data
    dtype = _DTYPES[datatype]
    wanted = f"wanted are {math.prod(shape):,} numbers of {datatype}"
    try:
        array = np.array(data)
    except (ValueError, OverflowError):
        raise HttpError(400, f"data is ragged; {wanted}.") from None
    kinds = _WHOLE if dtype.kind in _WHOLE else _WHOLE + "f"
    if array.dtype.kind not in kinds or _has_bool(data):
        raise HttpError(400, f"data holds {array.dtype}; {wanted}.")
    if array.size != math.prod(shape) or array.shape not in (
        tuple(shape),
        (array.size,),
    ):
        raise HttpError(400, f"data has the shape {list(array.shape)}; {wanted}.")
    if dtype.kind in _WHOLE:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if array.min() < low or array.max() > high:
            raise HttpError(
                400,
                f"data is {array.min()}..{array.max()}; {datatype} is {low}..{high}.",
            )
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    return array.reshape(shape)


def _has_bool(data: list[Any]) -> bool:
    """Whether there is true or false, which numpy takes for 1 and 0 among numbers."""
    return any(
        _has_bool(value) if isinstance(value, list) else isinstance(value, bool)
        for value in data
    )


def _wants_binary(value: dict[str, Any], tensors: Tensors) -> bool:
    """Whether the one output is to be binary."""
    whole = _parameters(value, "the request").get("binary_data_output", False)
    outputs = value.get("outputs", [])
    if not isinstance(outputs, list) or not all(isinstance(o, dict) for o in outputs):
        raise HttpError(
            400, f"outputs is {shortened(outputs)}; wanted is a list of objects."
        )
    if not isinstance(whole, bool):
        raise HttpError(
            400, f"binary_data_output is {shortened(whole)}; wanted is a boolean."
        )
    for output in outputs:
        if output.get("name") != tensors.output_name:
            raise HttpError(
                400,
                f"The output {shortened(output.get('name'))} is wanted; the model's is "
                f"{tensors.output_name!r}.",
            )
        own = _parameters(output, "the output")
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
