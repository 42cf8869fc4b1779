from __future__ import annotations

import io

import pytest
from PIL import Image

from headrace.media.forms import Size
from headrace.media.image import decode_files, sizes
from headrace.records import Form

KINDS = [
    *[("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
    *[("JPEG", "L", {}), ("JPEG", "RGB", {}), ("BMP", "RGB", {}), ("GIF", "P", {})],
    *[("WEBP", "RGB", {}), ("WEBP", "RGBA", {"lossless": True}), ("TIFF", "L", {})],
    ("WEBP", "RGBA", {"exif": b"Exif\0\0"}),
]


def _encoded(kind: str, mode: str, options: dict) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((21, 13)).convert(mode).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "mode", "options"), KINDS)
def test_an_image_decodes_to_no_more_than_its_header_says(kind, mode, options):
    data = _encoded(kind, mode, options)
    (item,) = decode_files([data], Form()).items
    (size,) = sizes([data], Form())
    assert size.unpacked == size.item
    assert item.nbytes <= size.item <= 3 * 21 * 13


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBPVP8X", b"GIF"]
)
def test_what_has_no_header_has_no_size(data):
    assert sizes([data], Form()) == [Size(0, 0)]
