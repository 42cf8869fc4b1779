"""Tensors of the Open Inference Protocol v2: in JSON, or as bytes after it."""

from __future__ import annotations

import math
import struct
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from headrace.serving.bodies import shortened
from headrace.serving.replies import HttpError
from headrace.tasks import asked, asks_items, question_shape
from headrace.tasks.wire import Open

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.media.forms import Payload
    from headrace.media.interface import Medium
    from headrace.records import DataDescription
    from headrace.tasks import Task

PLATFORM = "headrace"
BATCH_LIMIT = 4096  # rows of one request
ANSWER_VALUES = 2**22  # of all answers to one request, if not of one row
_DTYPES: dict[str, np.dtype[Any]] = {
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (4, 8)},
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_OTHER_VALUES = 1000  # of a request, beside its numbers


class _OfRequest(Open):
    binary_data_output: bool = False


class _OfInput(Open):
    binary_data_size: int | None = None


class _OfOutput(Open):
    binary_data: bool | None = None
    classification: None = None  # the extension is not there


class Input(Open):
    """The input of a request: where its bytes follow, without data."""

    name: str
    datatype: str
    shape: Any
    parameters: _OfInput = _OfInput()
    data: Any = None


class Output(Open):
    """What a request asks for."""

    name: str
    parameters: _OfOutput = _OfOutput()


class Inference(Open):
    """The JSON of a request for inference."""

    id: str | None = None
    parameters: _OfRequest = _OfRequest()
    inputs: list[Input] = Field(min_length=1, max_length=1)
    outputs: list[Output] = Field(default_factory=list, max_length=1)


class Tensors:
    """The input and the output of a version, in the protocol's terms.

    Attributes:
        input_name, output_name: of the only input, and the only output.
        datatypes: that the input may have; the first one is the model's own.
        limit: rows of one request.
        most_values: in the JSON of one request.
    """

    def __init__(self, module: Medium, data: DataDescription, learned: Task) -> None:
        self.questions, self._shape = asked(data), question_shape(data)
        self.input_name = data.medium if asks_items(data) else "question"
        self.output_name = learned.answers.OUTPUT
        if module.IS_TEXT:
            self.datatypes, self.shape = ["BYTES"], [-1]
        else:
            zero = np.zeros((1, *self._shape), self.questions.DTYPE)
            raw, variants = self.questions.raw(zero), self.questions.variants(zero)
            forms = [raw, *variants, zero]
            names = [_NAMES[form.dtype.newbyteorder("<")] for form in forms]
            self.datatypes, self.shape = list(dict.fromkeys(names)), [-1, *self._shape]
        self.answer = list(learned.head.output_shape(data))
        values = math.prod(map(abs, self.answer))
        self.limit = max(1, min(BATCH_LIMIT, ANSWER_VALUES // max(1, values)))
        values = self.limit * math.prod(self._shape)
        self.most_values = math.inf if module.IS_TEXT else _OTHER_VALUES + values

    def some(self, count: int) -> Payload:
        """So many questions as the model takes them, to time its answers."""
        shape = (count, *self._shape)
        return self.questions.raw(np.zeros(shape, self.questions.DTYPE))

    def metadata(self, model: str, versions: Iterable[int]) -> dict[str, Any]:
        """What ``/v2/models/{model}`` answers."""
        own = {"name": self.input_name, "datatype": self.datatypes[0]}
        outputs = {"name": self.output_name, "datatype": "FP32"}
        return {
            "name": model,
            "versions": [str(number) for number in sorted(versions)],
            "platform": PLATFORM,
            "inputs": [{**own, "shape": self.shape}],
            "outputs": [{**outputs, "shape": [-1, *self.answer]}],
        }


def _shape_of(shape: Any, tensors: Tensors) -> list[int]:
    if (
        not isinstance(shape, list)
        or not all(type(side) is int for side in shape)
        or len(shape) != len(tensors.shape)
        or shape[1:] != tensors.shape[1:]
        or shape[0] < 1
    ):
        raise HttpError(
            400,
            f"The shape is {shortened(shape)}; wanted is {tensors.shape}, with 1 or "
            "more in place of -1.",
        )
    if shape[0] > tensors.limit:
        raise HttpError(
            413, f"The request has {shape[0]:,} items; the limit is {tensors.limit:,}."
        )
    return shape


def array_of(
    tensor: Input, tensors: Tensors, tail: memoryview, *, has_booleans: bool
) -> Any:
    """The values of an input, ``(n, ...)``; texts as a list.

    Args:
        tensor: the input.
        tensors: of the model.
        tail: the bytes after the JSON.
        has_booleans: whether ``true`` or ``false`` stands anywhere in the JSON.

    Raises:
        HttpError: it has another shape or other values.
    """
    shape, datatype = _shape_of(tensor.shape, tensors), tensor.datatype
    size = tensor.parameters.binary_data_size
    if size is None:
        if len(tail):
            raise HttpError(
                400, f"{len(tail):,} bytes follow the JSON, but no input is binary."
            )
        return _from_json(tensor.data, shape, datatype, has_booleans)
    if size != len(tail) or "data" in tensor.model_fields_set:
        raise HttpError(
            400,
            f"binary_data_size is {size:,}; {len(tail):,} bytes follow the "
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


def _from_json(data: Any, shape: list[int], datatype: str, has_booleans: bool) -> Any:
    if not isinstance(data, list):
        raise HttpError(400, f"data is {shortened(data)}; wanted is a list.")
    if datatype != "BYTES":
        return _numbers(data, shape, datatype, has_booleans)
    if len(data) != shape[0] or not all(isinstance(text, str) for text in data):
        raise HttpError(
            400, f"data is {shortened(data)}; wanted are {shape[0]:,} strings."
        )
    return data


def _numbers(
    data: list[Any], shape: list[int], datatype: str, has_booleans: bool
) -> Any:
    """The array of a shape that a list has, flat or nested."""
    dtype, size = _DTYPES[datatype], math.prod(shape)
    wanted = f"wanted are {size:,} numbers of {datatype}, flat or nested as the shape"
    is_nested = bool(data) and isinstance(data[0], list)
    values = _flat(data, shape) if is_nested else data
    if values is None or (has_booleans and bool in {*map(type, values)}):
        raise HttpError(400, f"data is {shortened(data)}; {wanted}.")
    if len(values) != size:
        raise HttpError(400, f"data has {len(values):,} numbers; {wanted}.")
    try:  # unlike NumPy, these take no strings, and no fractions for integers
        taken = bytes(values) if dtype == np.uint8 else array(dtype.char, values)
        return np.frombuffer(taken, dtype).reshape(shape)
    except TypeError:
        raise HttpError(400, f"data is {shortened(data)}; {wanted}.") from None
    except (OverflowError, ValueError):
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        numbers = (one for one in values if isinstance(one, int))
        wrong = next(one for one in numbers if not low <= one <= high)
        raise HttpError(
            400, f"data has {wrong}; {datatype} is {low}..{high}."
        ) from None


def _flat(data: list[Any], shape: list[int]) -> list[Any] | None:
    """The values of lists that are nested as a shape says; None if they are not."""
    if len(data) != shape[0]:
        return None
    for side in shape[1:]:
        if {*map(type, data)} != {list} or {*map(len, data)} != {side}:
            return None
        data = [*chain.from_iterable(data)]
    return data
