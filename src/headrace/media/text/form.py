"""The form of texts: what a pipeline declares, and the lengths without that.

`headrace check` runs this file by itself, so it loads no library for data.
"""

from __future__ import annotations

from headrace.errors import SpecError
from headrace.pipeline import DataSpec
from headrace.records import Form

LONGEST = 8192  # bytes, where no length is declared
# Lengths are rounded up to one of these, so that there are few shapes.
SIZES = (64, 128, 256, 512, 1024, 2048, 4096, LONGEST)
_DECLARED = range(4, 65_537)  # the shortest holds any one character


def form_of(data: DataSpec) -> Form:
    """The form of texts: what a pipeline declares, and the lengths without that.

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


def limit_of(form: Form) -> int:
    """The most bytes of a text."""
    return form.shape[0] if form.shape else LONGEST
