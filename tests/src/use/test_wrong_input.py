"""Wrong input is told before a model is loaded, which takes seconds."""

import re

import numpy as np
import pytest
from PIL import Image

from headrace.errors import HeadraceError
from headrace.monitoring import MonitorOptions, WindowData, watch_window
from headrace.stages.promotion.by_hand import promote_by_hand
from headrace.state.home import Home
from headrace.use.explaining import explain
from headrace.use.generating import generate
from headrace.use.scoring import score


def _score_nothing(settings, folder):
    score("blobs", str(folder / "none"), str(folder / "x.csv"), settings)


def _monitor_nothing(settings, folder):
    data = WindowData(str(folder / "none"))
    watch_window(MonitorOptions("blobs", data), settings)


def _explain_a_folder(settings, folder):
    for name in "ab":
        image = Image.fromarray(np.zeros((8, 8), np.uint8))
        image.save(folder / f"{name}.png")
    explain("blobs", str(folder), settings)


def _explain_a_class_it_has_not(settings, folder):
    explain("blobs", str(folder), settings, of="nope")


def _explain_into_a_folder(settings, folder):
    (folder / "map.png").mkdir()
    explain("blobs", "0" * 8, settings, output=folder / "map.png")


def _generate(settings, folder):
    generate("blobs", settings)


def _promote_without_a_reason(settings, folder):
    promote_by_hand("blobs", 1, Home(settings), force=True, reason=" ")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (_score_nothing, "none"),
        (_monitor_nothing, "none"),
        (_explain_a_folder, "more than one item"),
        (_explain_a_class_it_has_not, "--of: blobs has no answer 'nope'"),
        (_explain_into_a_folder, "cannot be written: it is a folder"),
        (_generate, "writes no texts"),
        (_promote_without_a_reason, "needs a reason"),
    ],
)
def test_wrong_input_is_told_before_the_model_is_loaded(trained, tmp_path, ask, told):
    for file in trained.settings.home.glob("mlartifacts/**/model.keras"):
        file.unlink()  # whatever loads it fails
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(HeadraceError, match=re.escape(told)):
        ask(trained.settings, place)
