"""The form of images that a pipeline declares.

`headrace check` runs this file by itself, so it loads no library for data.
"""

from __future__ import annotations

from headrace.errors import SpecError
from headrace.pipeline import DataSpec
from headrace.records import Form

FILTER = "bicubic"
PIXEL_LIMIT = 50_000_000


def form_of(data: DataSpec) -> Form:
    """The form of images that a pipeline declares.

    Raises:
        SpecError: it is not the form of an image.
    """
    declared = data.shape
    if declared is None:
        if data.resize is not None:
            raise SpecError(
                f"data.resize is {data.resize!r}, and there is no data.shape.",
                "Say to what, for example with shape = [224, 224, 3].",
            )
        return Form()
    shape = (*declared, 1) if len(declared) == 2 else declared
    if len(shape) != 3 or min(shape) < 1 or shape[2] not in (1, 3):
        raise SpecError(
            f"data.shape is {list(declared)}; an image is [height, width, channels] "
            "with 1 or 3 channels.",
            "Write for example shape = [28, 28, 1].",
        )
    if shape[0] * shape[1] > PIXEL_LIMIT:
        raise SpecError(
            f"data.shape is {list(declared)}: over {PIXEL_LIMIT:,} pixels an image.",
            "Scale the images down first.",
        )
    if data.resize is None:
        return Form(shape=shape)
    return Form(shape=shape, options={"resize": data.resize, "filter": FILTER})
