"""Labels of sources (numbers, one-hot rows, text) as text."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.errors import SourceError


class Labels(NamedTuple):
    """Labels as text, ``(n,)``, and the first that is a number but no integer."""

    texts: list[str]
    not_whole: str = ""


def labels_as_text(array: npt.NDArray[Any], where: str, first: int = 0) -> Labels:
    """One label a row, as text; the label of a one-hot row is its index.

    Numbers are written so that reading them gives the same number.

    Args:
        array: ``(n,)``, ``(n, 1)``, or one-hot ``(n, classes)``.
        where: the array, for messages.
        first: the number of its first row, for messages.

    Raises:
        SourceError: labels have another shape or type, or are not finite or one-hot.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        array = _from_one_hot(array, where, first)
    if array.ndim != 1:
        raise SourceError(
            f"{where} has shape {_shape(array)}, which is not one of labels "
            "(it looks like items).",
            "Expected one label a row: (n,), or one-hot (n, classes).",
        )
    kind = array.dtype.kind
    if kind == "f":
        return _from_floats(array, where, first)
    if kind == "S":
        rows = enumerate(array.tolist(), first)
        return Labels([_decoded(text, where, row) for row, text in rows])
    if kind == "U":
        return Labels(_checked(array, where, first))
    if kind not in "biu":
        raise SourceError(
            f"{where} holds {array.dtype} values, which are not labels.",
            "Expected whole numbers or text.",
        )
    return Labels(list(map(str, map(int, array.tolist()))))


def _checked(array: npt.NDArray[Any], where: str, first: int) -> list[str]:
    try:
        labels: list[str] = array.tolist()
        "".join(labels).encode()
    except (ValueError, SystemError):  # SystemError: code points over the last one
        raise SourceError(
            f"{where} holds text, from row {first} on, that is not Unicode.",
            "Write the labels as UTF-8 text.",
        ) from None
    return labels


def _from_one_hot(array: npt.NDArray[Any], where: str, first: int) -> npt.NDArray[Any]:
    if array.dtype.kind not in "biuf":
        raise SourceError(
            f"{where} has shape {_shape(array)} of {array.dtype}: not one-hot.",
            "Expected one label a row: (n,), or one-hot (n, classes).",
        )
    ones = array == 1
    good = (ones.sum(axis=1) == 1) & ((array == 0).sum(axis=1) == array.shape[1] - 1)
    if not good.all():
        row = int(good.argmin())
        values = ", ".join(map(str, array[row, :12].tolist()))
        more = ", ..." if array.shape[1] > 12 else ""
        raise SourceError(
            f"{where} of {array.shape[1]} columns is not one-hot: row {first + row} is "
            f"[{values}{more}], with {int(ones[row].sum())} ones.",
            "Each row needs exactly one 1 and otherwise 0.",
        )
    index: npt.NDArray[np.int64] = ones.argmax(axis=1)
    return index


def _from_floats(array: npt.NDArray[Any], where: str, first: int) -> Labels:
    with np.errstate(invalid="ignore"):
        is_odd = ~np.isfinite(array) | (array != np.rint(array))
        is_odd |= np.abs(array) > 2**53
    if not is_odd.any():
        return Labels(list(map(str, array.astype(np.int64).tolist())))
    row = int(is_odd.argmax())
    if not np.isfinite(array).all():
        raise SourceError(
            f"{where}[{first + row}] is {array[row]!s}, which is no label.",
            "Expected whole numbers or text.",
        )
    texts = [
        repr(value) if odd else str(int(value))
        for value, odd in zip(array.tolist(), is_odd.tolist(), strict=True)
    ]
    return Labels(texts, f"{where}[{first + row}] is {array[row]!s}")


def _shape(array: npt.NDArray[Any]) -> str:
    return f"(n, {', '.join(map(str, array.shape[1:]))})" if array.ndim else "()"


def _decoded(text: bytes, where: str, row: int) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise SourceError(
            f"{where}[{row}] is {text!r}, which is not UTF-8.",
            "Write the labels as UTF-8 text.",
        ) from None
