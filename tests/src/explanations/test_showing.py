"""The page of explanations: a grid of items, readable in the light and in the dark."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from headrace.explanations.occlusion import Part
from headrace.explanations.showing import ShownItem, write_page
from headrace.records import DataDescription

IMAGE = DataDescription(medium="image", shape=(4, 4, 1))
SOUND = DataDescription(medium="audio", shape=(4000,), sample_rate_hz=4000)
ITEMS = [
    (IMAGE, np.full((4, 4, 1), 90, np.uint8), np.eye(4)),
    (SOUND, np.arange(4000, dtype=np.int16), np.ones((8, 6))),
]


@pytest.mark.parametrize(("data", "item", "values"), ITEMS)
def test_a_map_has_no_white_ground(tmp_path, data, item, values):
    parts = [Part(name="rows 1 to 2", value=0.5), Part(name="row 3", value=-0.25)]
    one = ShownItem("a<b>.png", "cat (98%)", item, values, parts)
    write_page([one, one], data, tmp_path / "map.png", "by occlusion")

    page = (tmp_path / "map.png").read_text()
    assert page.count("<li><h2>cat (98%) ") == 2
    assert "a&lt;b&gt;.png" in page
    assert re.search(r"speaks against it</span>\s+row 3 \(-0\.25\)", page)
    _, uri = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="its map"', page)
    with Image.open(io.BytesIO(base64.b64decode(uri))) as drawn:
        *colour, opacity = drawn.convert("RGBA").getpixel((1, drawn.height - 2))
    assert opacity == 0 or colour != [255, 255, 255]
