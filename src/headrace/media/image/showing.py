"""Images in reports and pages."""

from __future__ import annotations

import base64
import io
from typing import Any

from headrace.media.image.pixels import Pixels
from headrace.records import DataDescription

SAMPLE_INCHES = (1.9, 2.1)


def draw_sample(axes: Any, sample: Pixels, data: DataDescription) -> None:
    """Draw one image ``(height, width, channels)`` on matplotlib axes."""
    axes.axis("off")
    grey = sample.shape[-1] == 1
    axes.imshow(sample[..., 0] if grey else sample, cmap="gray" if grey else None)


def as_html(sample: Pixels, data: DataDescription) -> str:
    """One image ``(height, width, channels)`` as HTML that needs no other file."""
    from PIL import Image

    height, width, channels = sample.shape
    file = io.BytesIO()
    Image.fromarray(sample[..., 0] if channels == 1 else sample).save(file, "PNG")
    data_uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    return f'<img src="{data_uri}" alt="image of {height} x {width} pixels">'
