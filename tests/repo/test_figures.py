"""Figures say what they show, and only that makes them out of date."""

import pytest
from PIL import Image
from tests.repo import figures
from tests.repo.docs_blocks import PAGES, ROOT

ANSWER = (
    "\x1b[1mdigits version 1: \x1b[32mpromoted\x1b[0m in 10.2 s\n  all <gates> hold\n"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FOLDER", tmp_path / "figures")
    return tmp_path / "figures"


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


def test_a_terminal_shows_as_many_lines_as_are_enough():
    (data,) = drawn(f"{ANSWER}  ingest\n", "run.svg 2").values()
    assert figures.said_by(data)[2:] == ["..."]


def test_a_path_of_this_machine_is_not_shown():
    (data,) = drawn(f"home: {ROOT}/.headrace").values()
    assert figures.said_by(data) == ["home: /home/ada/mill/.headrace"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.2 s", "9.5 s"),
        ("snapshot 9096abb78b2e", "snapshot 0096abb78b2e"),
        (
            "runs/c41f7044-0b80-47fc-8f23-54def3546f2f",
            "runs/1146d9ba-955e-4752-b382-f7",
        ),
        ("2026-12-01 15:03", "2027-01-11 08:00"),
    ],
)
def test_other_numbers_are_no_other_figure(folder, one, other):
    figures.settle(drawn(f"{one}, 3 rows"), keep=True)
    figures.settle(drawn(f"{other}, 4 rows"), keep=False)


@pytest.mark.parametrize("change", [("promoted", "refused"), ("\n", "\n  new\n")])
def test_other_words_and_lines_make_a_figure_out_of_date(folder, change):
    figures.settle(drawn(ANSWER), keep=True)
    with pytest.raises(AssertionError, match=r"run\.svg is out of date: make figures"):
        figures.settle(drawn(ANSWER.replace(*change)), keep=False)


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
