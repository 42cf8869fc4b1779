"""The form of texts that a pipeline declares.

`headrace check` runs this file by itself, so it loads no library for data.
"""

from __future__ import annotations

from headrace.errors import SpecError
from headrace.records import Form
from headrace.spec import DataSpec

_DECLARED = range(4, 65_537)  # the shortest holds any one character


def form_of(data: DataSpec) -> Form:
    """The form of texts that a pipeline declares.

    Raises:
        SpecError: it is not the form of a text.
    """
    shape = data.shape
    if shape is not None and (len(shape) != 1 or shape[0] not in _DECLARED):
        raise SpecError(
            f"data.shape is {list(shape)}; a text is [bytes], from {_DECLARED[0]} to "
            f"{_DECLARED[-1]:,}.",
            "Write for example shape = [512]; a Chinese character takes 3 bytes.",
        )
    return Form(shape=shape, mask=data.mask)
