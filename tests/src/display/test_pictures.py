"""Pictures are written as PNG for the plain and the odd case."""

from functools import partial

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from headrace.display.pictures import (
    draw_curves,
    draw_mistakes,
    fonts_for,
    new_figure,
    save,
)
from headrace.media.image import MEDIUM as IMAGE
from headrace.records import DataDescription


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, in their order."""
    saved = []
    save = Figure.savefig

    def remember(figure, *arguments, **named):
        saved.append(figure)
        save(figure, *arguments, **named)

    monkeypatch.setattr(Figure, "savefig", remember)
    return saved


@pytest.mark.filterwarnings("error")
def test_letters_are_drawn_by_an_installed_font_that_has_them(tmp_path, is_picture):
    text = "a\u20dd"  # a circle around a letter, in STIXGeneral of matplotlib alone
    fonts, missing = fonts_for(text)
    assert fonts[0] == "DejaVu Sans"
    assert len(fonts) == 2
    assert missing == set()
    figure = new_figure(1, 1)
    label = figure.text(0, 0, text)
    save(figure, tmp_path / "text.png")
    assert label.get_fontfamily() == fonts
    assert is_picture(tmp_path / "text.png")


def test_the_face_that_is_drawn_is_looked_into_however_fonts_are_listed(monkeypatch):
    listed = font_manager.fontManager.ttflist
    families = ("DejaVu Sans", "STIXGeneral")
    faces = [entry for entry in listed if entry.name in families]
    letter = "\u20de"  # which only the regular face of STIXGeneral has
    gone = font_manager.FontEntry(fname="/gone.ttf", name="A font that is gone")
    for order in (faces, faces[::-1]):
        monkeypatch.setattr(font_manager.fontManager, "ttflist", [*order, gone])
        assert fonts_for(letter) == (["STIXGeneral"], set())


def test_a_letter_of_no_font_is_named():
    assert fonts_for("a\U0010fffd") == (["DejaVu Sans"], {"\U0010fffd"})


def test_curves_of_one_epoch_without_val(tmp_path, is_picture):
    epochs = [{"train_loss": 1.0, "train_accuracy": 0.5}]
    draw_curves(epochs, "accuracy", 1, tmp_path / "curves.png")
    assert is_picture(tmp_path / "curves.png")


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 3)])
def test_mistakes_of_grey_and_coloured_samples(tmp_path, is_picture, count, channels):
    samples = np.random.default_rng(0).integers(
        0, 256, (count, 8, 8, channels), np.uint8
    )
    captions = [f"a taken for b\n{number}% sure" for number in range(count)]
    data = DataDescription(medium="image", shape=(8, 8, channels), classes=("a", "b"))
    draw = partial(IMAGE.draw_sample, data=data)
    draw_mistakes(
        samples, captions, draw, IMAGE.SAMPLE_INCHES, tmp_path / "mistakes.png"
    )
    assert is_picture(tmp_path / "mistakes.png")


def test_curves_mark_the_epoch_that_was_kept(tmp_path, drawn):
    epochs = [{"train_loss": 1 / n, "val_loss": abs(n - 2)} for n in (1, 2, 3)]

    draw_curves(epochs, "accuracy", 2, tmp_path / "curves.png")

    labels = [line.get_label() for line in drawn[0].axes[0].lines]
    assert labels == ["train", "val", "epoch 2, kept"]
    assert drawn[0].axes[0].lines[2].get_xdata() == [2, 2]
