"""Figures say what they show, and only that makes them out of date."""

import pytest
from PIL import Image
from tests.repo import figures
from tests.repo.docs_blocks import PAGES, ROOT

ANSWER = (
    "\x1b[1mdigits version 1: \x1b[32mpromoted\x1b[0m in 10.2 s\n  all <gates> hold\n"
)


def drawn(answer, note="run.svg"):
    return dict([figures.draw(note, "headrace run digits", answer, ROOT)])


def test_a_terminal_says_its_lines_and_asks_for_nothing():
    (data,) = drawn(ANSWER).values()
    assert figures.said_by(data) == [
        "digits version 0: promoted in 0 s",
        "all <gates> hold",
    ]
    assert b"url(http" not in data
    assert b"@font-face" not in data


@pytest.mark.parametrize(
    "file", sorted((ROOT / "docs/figures").iterdir()), ids=lambda path: path.name
)
def test_a_figure_is_small_and_is_shown(file):
    data = file.read_bytes()
    assert any(f"figures/{file.name})" in page.read_text() for page in PAGES)
    assert len(data) < figures.MOST_BYTES
    assert figures.said_by(data)
    if file.suffix == ".png":
        assert Image.open(file).width <= 1200
