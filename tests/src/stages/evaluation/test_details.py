"""Groups and weak slices of an evaluation, from a snapshot to its pages and gates."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from headrace.data.snapshots.splits import SplitRows
from headrace.gates.kinds import JudgedRows, judge_gate
from headrace.pipeline import GateSpec, PipelineSpec
from headrace.records import DataDescription
from headrace.stages.evaluation import groups
from headrace.stages.evaluation.answers import (
    EvaluatedModel,
    Look,
    Parts,
    ask,
    items_once,
)
from headrace.stages.evaluation.groups import draw_groups
from headrace.stages.evaluation.slices import WeakSlice
from headrace.stages.evaluation.weak import figures_of, look_for
from headrace.stages.processes import OtherProcess
from headrace.state.store import Store
from headrace.tasks import task
from headrace.tasks.forms import Context

TARGET = {"classes": ["dark", "light"]}
DATA = DataDescription(medium="image", shape=(4, 4, 1), target=TARGET)
JUDGE = task("classification").judge


def snapshot_of(write, store, rows, wrong):
    """Images of noise; those with a white corner have wrong labels, and are theo's.

    The model below says light where the first pixel is above 127.
    """
    random = np.random.default_rng(0)
    images = random.integers(0, 250, (rows, 4, 4, 1), np.uint8)
    light = images[:, 0, 0, 0] > 127
    tinted = np.arange(rows) % 4 == 0
    images[tinted, -1, -1] = 255
    swapped = tinted & (random.random(rows) < wrong)
    labels = np.where(light ^ swapped, "light", "dark").tolist()
    columns = {
        "split": np.where(np.arange(rows) % 8 < 4, "val", "test").tolist(),
        "label": labels,
        "name": [f"image {row}" for row in range(rows)],
        "group": np.where(tinted, "theo", "ann").tolist(),
    }
    return write(store, DATA, images, columns)


def first_pixel():
    """A Keras model that looks at the first pixel alone."""
    import keras

    raw = keras.Input((4, 4, 1), dtype="uint8")
    scaled = keras.layers.Rescaling(1.0, -127.5)(raw)
    kernel = np.zeros((16, 2), np.float32)
    kernel[0] = -0.1, 0.1
    head = keras.layers.Dense(2, "softmax")
    model = keras.Model(raw, head(keras.layers.Flatten()(scaled)))
    head.set_weights([kernel, np.zeros(2, np.float32)])
    return model


class Undrawn(OtherProcess):
    """Keeps what is to be drawn."""

    def __init__(self):
        super().__init__()
        self.drawings = []

    def begin(self, work):
        self.drawings.append(work)
        return work


class Details(NamedTuple):
    part: Parts
    rows: JudgedRows
    drawings: list[Callable[[], object]]


def look(snapshot, store, folder):
    spec = PipelineSpec.model_validate(
        {"name": "some", "medium": "image", "data": {"source": "somewhere"}}
    )
    train, val, test = (SplitRows(snapshot, s) for s in ("train", "val", "test"))
    model = first_pixel()
    context = Context(
        model, spec, DATA, snapshot.digest, "", train, val, test, store, folder
    )
    answers = ask(context, test, {}, 25, JUDGE)
    evaluated, undrawn = EvaluatedModel(context, answers, folder), Undrawn()
    parts, rows = Parts(undrawn), groups.judged_rows(evaluated)
    parts.add(groups.look_at(evaluated, rows, train.groups()))
    parts.add(look_for(evaluated))
    return Details(parts, rows, undrawn.drawings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def weak(write_snapshot, folder):
    store = Store(str(folder / "store"))
    return look(snapshot_of(write_snapshot, store, 1200, 0.4), store, folder)


def test_the_planted_slice_and_the_groups_are_in_metrics_slices_and_warnings(weak):
    (name,) = [name for name in weak.part.slices if name.startswith("weak_slice=")]
    assert name in {"weak_slice=maximum > 249", "weak_slice=group = theo"}
    found, pair = weak.part.slices[name], weak.part.slices["pair=ann, theo"]
    assert (found["rows"], pair["rows"]) == (150, 600)
    assert found["rest"] == 1
    assert found["loss"] == pair["difference"] == 1 - found["accuracy"]
    assert 0.3 < found["loss"] < 0.5
    assert pair["difference_low"] < pair["difference"] < pair["difference_high"]
    assert weak.part.metrics == pytest.approx(
        {
            "test_accuracy_unseen_groups": weak.part.slices["groups=unseen"][
                "accuracy"
            ],
            "group_difference": found["loss"],
            "weak_slices": 1,
            "weak_slice_loss": found["loss"],
        }
    )
    (finding,) = weak.part.findings
    assert (finding.check, finding.split, finding.count) == ("weak_slice", "test", 150)
    assert f"on the 150 test rows with {name.partition('=')[2]}" in finding.message


def test_gates_judge_the_rows_and_the_slices(weak):
    fair = GateSpec.model_validate({"name": "fairness", "arguments": {"gap": 0.1}})
    result = judge_gate(fair, {}, weak.rows)
    assert not result.passed
    assert "accuracy is 1 for ann (n = 450)" in result.reason
    recall = {"gap": 0.1, "metric": "class=light/recall"}
    gate = GateSpec.model_validate({"name": "fairness", "arguments": recall})
    assert "class=light/recall is 1 for ann" in judge_gate(gate, {}, weak.rows).reason
    for threshold, passed in ((0.1, False), (0.6, True)):
        gate = GateSpec.model_validate({"name": "weak_slice", "threshold": threshold})
        assert judge_gate(gate, weak.part.values()).passed is passed


def test_groups_and_bad_answers_are_drawn(weak, folder, is_picture):
    for draw in weak.drawings:
        draw()
    assert is_picture(folder / "groups.png")
    assert is_picture(folder / "weak_slices.png")
    listed = json.loads((folder / "weak_slices.json").read_text())
    assert listed["heads"] == ["slice", "answer"]
    assert len(listed["rows"]) == 8
    for row in listed["rows"]:
        name, answer = row["cells"]
        assert f"weak_slice={name}" in weak.part.slices
        assert answer.startswith("true ")


def test_clean_data_has_no_weak_slice(write_snapshot, tmp_path):
    store = Store(str(tmp_path / "store"))
    details = look(snapshot_of(write_snapshot, store, 400, 0), store, tmp_path)
    assert details.part.metrics == {
        "test_accuracy_unseen_groups": 1,
        "group_difference": 0,
        "weak_slices": 0,
        "weak_slice_loss": 0,
    }
    assert not details.part.findings


def test_too_few_rows_are_not_looked_at(write_snapshot, tmp_path):
    store = Store(str(tmp_path / "store"))
    details = look(snapshot_of(write_snapshot, store, 60, 0), store, tmp_path)
    assert not [name for name in details.part.slices if name.startswith("pair=")]
    assert "group_difference" not in details.part.metrics
    assert "weak_slice_loss" not in details.part.metrics


def test_an_item_counts_once_in_its_group():
    items = np.array([b"a" * 32, b"b" * 32, b"a" * 32, b"a" * 32], "S32")
    once = items_once(items, ["ann", "ann", "bob", "ann"])
    assert once.tolist() == [True, True, True, False]


def test_no_slices_that_were_looked_for_are_metrics():
    metrics = {"weak_slices": 0.0, "weak_slice_loss": 0.0}
    assert figures_of([], "accuracy") == Look(metrics)
    assert figures_of(None, "accuracy") == Look()


def test_a_loss_that_is_no_number_never_passes():
    losses = (0.05, np.nan)
    weak = [WeakSlice("x", 30, 0.7, 0.9, n, 0.01, np.ones(1, bool)) for n in losses]
    gate = GateSpec.model_validate({"name": "weak_slice", "threshold": 0.1})
    for order in (weak, weak[::-1]):
        metrics = dict(figures_of(order, "accuracy").metrics)
        assert not judge_gate(gate, metrics).passed


@pytest.mark.parametrize(
    ("count", "ending"),
    [(1, "(p = 0.01)"), (2, "; 1 more slice is weak"), (3, "; 2 more slices are weak")],
)
def test_a_warning_names_the_surest_slice_and_counts_the_others(count, ending):
    one = WeakSlice("dark", 30, 0.7, 0.9, 0.2, 0.01, np.ones(1, bool))
    worse = WeakSlice("short", 30, 0.6, 0.9, 0.3, 0.02, np.ones(1, bool))
    part = figures_of([one, worse, worse][:count], "accuracy")
    (finding,) = part.findings
    assert "on the 30 test rows with dark" in finding.message
    assert finding.message.endswith(ending)
    assert part.metrics["weak_slice_loss"] == (0.3 if count > 1 else 0.2)


def test_one_group_is_not_drawn(tmp_path):
    group = {"rows": 9.0, "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 1.0}
    draw_groups(
        {"group=ann": group, "class=1": {}}, "accuracy", 0.9, tmp_path / "x.png"
    )
    assert not (tmp_path / "x.png").exists()
