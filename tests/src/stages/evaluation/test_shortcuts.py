"""Test rows without the mark that gives their class away."""

import numpy as np
import pytest

from headrace.data.snapshots.splits import SplitRows
from headrace.gates.kinds import judge_gate
from headrace.gates.rows import JudgedRows
from headrace.records import DataDescription
from headrace.spec import GateSpec, PipelineSpec
from headrace.stages.evaluation.answers import ask
from headrace.stages.evaluation.parts import EvaluatedModel
from headrace.stages.evaluation.shortcuts import cover_marks, find_marks
from headrace.state.store import Store
from headrace.tasks import task
from headrace.tasks.forms import Context

DATA = DataDescription(
    medium="image", shape=(8, 8, 1), target={"classes": ["dark", "light"]}
)
JUDGE = task("classification").judge
GATE = GateSpec.model_validate({"name": "shortcut", "threshold": 0.1})


def images_of(rows, marked):
    """Dark and light images; light ones may have a bright corner."""
    random = np.random.default_rng(0)
    light = np.arange(rows) % 2 == 1
    images = random.integers(0, 60, (rows, 8, 8, 1), np.uint8)
    images += np.where(light, 120, 20).astype(np.uint8)[:, None, None, None]
    if marked:
        images[light, :2, :2] = 255
    return images, np.where(light, "light", "dark").tolist()


@pytest.fixture(scope="module")
def snapshots(write_snapshot, tmp_path_factory):
    """Without a mark, and with one."""

    def make(marked):
        images, labels = images_of(600, marked)
        columns = {
            "split": ["train"] * 400 + ["test"] * 200,
            "label": labels,
            "name": [f"image {row}" for row in range(600)],
        }
        place = tmp_path_factory.mktemp("marks")
        return write_snapshot(Store(str(place)), DATA, images, columns)

    return {marked: make(marked) for marked in (False, True)}


def model_of(weights, threshold):
    """A Keras model that says light where a weighted sum is above a threshold."""
    import keras

    raw = keras.Input((8, 8, 1), dtype="uint8")
    scaled = keras.layers.Rescaling(1.0, -threshold)(raw)
    head = keras.layers.Dense(2, "softmax")
    model = keras.Model(raw, head(keras.layers.Flatten()(scaled)))
    kernel = np.stack([-weights.ravel(), weights.ravel()], axis=1)
    head.set_weights([kernel, np.zeros(2)])
    return model


def by_brightness():
    """Right whatever the corner is."""
    return model_of(np.full((8, 8), 0.002), 100)


def by_corner():
    """Right by the mark alone."""
    weights = np.zeros((8, 8))
    weights[:2, :2] = 0.01
    return model_of(weights, 230)


def judged(snapshot, model, place):
    spec = {"name": "some", "medium": "image", "data": {"source": "somewhere"}}
    splits = (SplitRows(snapshot, split) for split in ("train", "val", "test"))
    store = Store(str(place / "store"))
    pipeline = PipelineSpec.model_validate(spec)
    context = Context(model, pipeline, DATA, snapshot.digest, "", *splits, store, place)
    answers = ask(model, {}, context.test, 0, JUDGE)
    part = cover_marks(EvaluatedModel(context, answers, place))
    rows = JudgedRows(
        "accuracy", answers.judged.scores, None, answers.groups, **part.rows
    )
    return judge_gate(GATE, {}, rows), dict(part.slices)


def test_a_model_that_looks_at_the_mark_alone_is_refused(snapshots, tmp_path):
    result, slices = judged(snapshots[True], by_corner(), tmp_path)
    assert not result.passed
    assert "test rows of 'light' is 1, and 0 without the mark" in result.reason
    assert slices == {"mark=light": {"rows": 100.0, "accuracy": 1.0, "covered": 0.0}}


def test_a_model_that_does_without_the_mark_passes(snapshots, tmp_path):
    result, slices = judged(snapshots[True], by_brightness(), tmp_path)
    assert result.passed, result.reason
    assert slices["mark=light"]["covered"] == 1


def test_without_a_mark_any_model_passes(snapshots, tmp_path):
    result, slices = judged(snapshots[False], by_corner(), tmp_path)
    assert (result.passed, slices) == (True, {})
    assert result.reason == "no mark gives a class away"


def test_the_mark_is_found_with_a_margin_and_nothing_else(snapshots):
    sample = find_marks(SplitRows(snapshots[True], "train"), DATA)
    assert sample is not None
    assert {*sample.marks} == {1}
    assert sample.marks[1].sum() == 9
    assert sample.marks[1][:3, :3].all()
