"""The form of sounds that a pipeline declares.

`headrace check` runs this file by itself, so it loads no library for data.
"""

from __future__ import annotations

from headrace.errors import SpecError
from headrace.pipeline import DataSpec
from headrace.records import Form

DEFAULT_RATE_HZ = 16_000
SECONDS_LIMIT = 600


def form_of(data: DataSpec) -> Form:
    """The form of sounds that a pipeline declares.

    Raises:
        SpecError: it is no form of a sound.
    """
    rate = data.sample_rate_hz or DEFAULT_RATE_HZ
    shape = data.shape
    if shape is not None and (len(shape) != 1 or shape[0] < 1):
        raise SpecError(
            f"data.shape is {list(shape)}; a sound's is [samples].",
            "Give data.seconds in its place.",
        )
    if data.seconds is not None:
        count = round(data.seconds * rate)
        if shape not in (None, (count,)):
            raise SpecError(
                f"data.shape is {list(data.shape or ())}, but data.seconds is "
                f"{data.seconds:g}, which is {count:,} samples at {rate:,} Hz.",
                "Give one of them.",
            )
        shape = (count,)
    if shape is not None and not 1 <= shape[0] <= SECONDS_LIMIT * rate:
        raise SpecError(
            f"The sounds would be of {shape[0]:,} samples, {shape[0] / rate:g} s; "
            f"1 sample to {SECONDS_LIMIT} s are possible.",
            "Change data.seconds.",
        )
    return Form(shape=shape, sample_rate_hz=rate)
