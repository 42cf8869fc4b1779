"""Labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from headrace.data.snapshots import SplitRows
from headrace.records import DataDescription, SnapshotRecord
from headrace.stages.evaluation import SUSPECT_ROWS
from headrace.stages.evaluation.answers import ask_some
from headrace.stages.evaluation.pages import page
from headrace.state.store import Store
from headrace.tasks.classification.suspects import KEPT, find_suspects
from headrace.tasks.forms import Suspect

DATA = DataDescription(medium="image", shape=(2, 2, 1), classes=("dark", "bright"))


class Brightness:
    """A model that is sure of dark below 100, of bright above."""

    def predict_on_batch(self, items: Any) -> Any:
        bright = np.asarray(items, np.float32).mean(axis=(1, 2, 3)) > 100
        chance = np.where(bright, 0.98, 0.02).astype(np.float32)
        return np.stack([1 - chance, chance], axis=1)


def suspects_of(snapshot: SnapshotRecord) -> list[Suspect]:
    """Those of the test split, as an evaluation finds them."""
    rows = SplitRows(snapshot, "test")
    parts = list(ask_some(Brightness(), rows, SUSPECT_ROWS))
    return find_suspects(parts, DATA.classes)


def test_a_wrong_label_is_found_and_told(tmp_path: Any, write_snapshot: Any) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    items = rng.integers(0, 60, (60, 2, 2, 1), np.uint8)
    items[labels == 1] += 150
    told = [DATA.classes[label] for label in labels]
    told[7] = "dark"  # it is bright
    columns = {"split": ["test"] * 60, "label": told, "name": [*map(str, range(60))]}
    snapshot = write_snapshot(Store(str(tmp_path)), DATA, items, columns)
    (suspect,) = suspects_of(snapshot)
    assert (suspect.name, suspect.label, suspect.likely) == ("7", "dark", "bright")
    assert suspect.split == "test"
    assert abs(suspect.chance - 0.98) < 1e-6
    assert suspect.item.shape == (2, 2, 1)
    text = page("Suspects", ["row"], [["<7>"]], [suspect.item], DATA)
    assert "&lt;7&gt;" in text
    assert "<img" in text


def test_no_more_than_a_page_of_them_is_kept(
    tmp_path: Any, write_snapshot: Callable[..., Any]
) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 2
    items = rng.integers(0, 60, (600, 2, 2, 1), np.uint8)
    items[labels == 1] += 150
    wrong = np.arange(600) < 120
    told = [
        DATA.classes[label ^ int(flip)]
        for label, flip in zip(labels, wrong, strict=True)
    ]
    columns = {"split": ["test"] * 600, "label": told, "name": [*map(str, range(600))]}
    snapshot = write_snapshot(Store(str(tmp_path)), DATA, items, columns)
    found = suspects_of(snapshot)
    assert len(found) == KEPT
    assert all(int(suspect.name) < 120 for suspect in found)
