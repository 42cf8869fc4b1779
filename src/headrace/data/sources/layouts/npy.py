"""Arrays in the NPY format; the header must agree with the size of the file."""

from __future__ import annotations

import functools
import math
import tokenize
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from headrace.data.sources.layouts.arrays import (
    Array,
    read_blocks,
    read_fortran_blocks,
)
from headrace.data.sources.places.files import File, first_line
from headrace.errors import SourceError

MAGIC = b"\x93NUMPY"


def open_npy(file: File) -> Array:
    """The array of one ``.npy`` file; its sizes are checked before any allocation.

    Raises:
        SourceError: it is no NPY file, holds Python objects, or its size differs from
            its header.
    """
    with file.open() as stream:
        shape, fortran, dtype = _header(stream, file)
        start = stream.tell()
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != file.size - start:
        raise _wrong_size(file, shape, dtype, file.size - start)

    def blocks(rows: int) -> Iterator[npt.NDArray[Any]]:
        with file.open() as stream:
            stream.read(start)
            if fortran:
                yield from read_fortran_blocks(stream, shape, dtype, rows)
            else:
                wrong = functools.partial(_wrong_size, file, shape, dtype)
                yield from read_blocks(stream, shape, dtype, rows, wrong)

    return Array(shape, dtype, blocks)


def _header(
    stream: IO[bytes], file: File
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy_format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = npy_format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, fortran, dtype = npy_format.read_array_header_2_0(stream)
        else:
            raise ValueError(f"NPY version {version}, 1.0 or 2.0 expected")
    except (
        *(ValueError, SyntaxError, TypeError, tokenize.TokenError),
        *(RecursionError, MemoryError),  # a header that is nested too deeply
    ) as error:
        raise SourceError(
            f"{file.where} is not a readable array: {first_line(error)}.",
            "Save it again with numpy.savez.",
        ) from None
    if dtype.hasobject:
        raise SourceError(
            f"{file.where} holds Python objects (pickle), which are never loaded.",
            "Save plain numbers with numpy.savez.",
        )
    if dtype.itemsize == 0:
        raise SourceError(
            f"{file.where} holds values of no bytes ({dtype.str}).",
            "Save plain numbers with numpy.savez.",
        )
    return shape, fortran, dtype


def _wrong_size(
    file: File, shape: tuple[int, ...], dtype: np.dtype[Any], actual: int
) -> SourceError:
    expected = math.prod(shape) * dtype.itemsize
    reason = f"{actual - expected:,} bytes left over"
    if actual < expected:
        reason = f"{expected - actual:,} bytes missing"
    return SourceError(
        f"{file.where} says shape {shape} of {dtype}, which is {expected:,} bytes, but "
        f"{actual:,} follow: {reason}.",
        "It is damaged or was cut short: download or make it again.",
    )
