"""One array of the NPY format, its header believed only where the bytes agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy_format

from headrace.errors import SourceError
from headrace.sources.arrays import array_chunk
from headrace.sources.chunks import Chunk
from headrace.sources.files import File, first_line

MAGIC = b"\x93NUMPY"


def read_items(file: File) -> Iterator[Chunk]:
    """The rows of one array of items without labels, as one chunk.

    Raises:
        SourceError: it is damaged, or no array of items.
    """
    names = (file.where.rpartition("/")[2], "")
    yield array_chunk(None, read_npy(file), None, names, file.where)


def read_npy(file: File) -> npt.NDArray[Any]:
    """The array of one ``.npy`` file; nothing is allocated before all sizes agree.

    Raises:
        SourceError: it is no NPY file, holds Python objects, or its size is not
            what its header says.
    """
    with file.open() as stream:
        shape, fortran, dtype = _header(stream, file)
        start = stream.tell()
        _check_size(file, shape, dtype, file.size - start)
        data = stream.read()
    array = np.frombuffer(data, dtype)
    return array.reshape(shape, order="F" if fortran else "C")


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
    except (ValueError, SyntaxError, TypeError) as error:
        raise SourceError(
            f"{file.where} is no array that can be read: {first_line(error)}.",
            "Save it again with numpy.savez.",
        ) from None
    if dtype.hasobject:
        raise SourceError(
            f"{file.where} holds Python objects (pickle), which are never loaded.",
            "Save plain numbers with numpy.savez.",
        )
    return shape, fortran, dtype


def _check_size(
    file: File, shape: tuple[int, ...], dtype: np.dtype[Any], found: int
) -> None:
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) >= 0 and expected == found:
        return
    off = f"{found - expected:,} bytes left over"
    if found < expected:
        off = f"{expected - found:,} bytes missing"
    raise SourceError(
        f"{file.where} says shape {shape} of {dtype}, which is {expected:,} bytes, but "
        f"{found:,} follow: {off}.",
        "It is damaged or was cut short: download or make it again.",
    )
