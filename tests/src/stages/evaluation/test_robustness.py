"""Test rows on the rungs of a ladder: numbers, a picture and rows for gates."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.data.snapshots.splits import SplitRows
from headrace.gates.kinds import judge_gate
from headrace.gates.rows import JudgedRows
from headrace.media import ladder
from headrace.models.logged.loading import answers as answers_of
from headrace.pipeline import GateSpec, PipelineSpec
from headrace.records import DataDescription
from headrace.stages.evaluation import robustness
from headrace.stages.evaluation.answers import ask
from headrace.stages.evaluation.parts import EvaluatedModel, Look
from headrace.stages.evaluation.robustness import climb, most_rows
from headrace.state.store import Store
from headrace.tasks import task
from headrace.tasks.forms import Context

DATA = DataDescription(
    medium="image", shape=(8, 8, 1), target={"classes": ["dark", "light"]}
)
JUDGE = task("classification").judge
ROWS = 700


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("ladder")


def write(make, store, images):
    rows = len(images)
    light = images.mean(axis=(1, 2, 3)) > 127
    columns = {
        "split": ["test"] * rows,
        "label": np.where(light, "light", "dark").tolist(),
        "name": [f"image {row}" for row in range(rows)],
    }
    return make(store, DATA, images, columns)


@pytest.fixture(scope="module")
def snapshot(write_snapshot, place):
    random = np.random.default_rng(0)
    images = random.integers(0, 60, (ROWS, 8, 8, 1), np.uint8)
    images += random.integers(0, 190, (ROWS, 1, 1, 1), np.uint8)
    return write(write_snapshot, Store(str(place / "store")), images)


def brightness():
    """A Keras model that says light where the mean is above 127."""
    import keras

    raw = keras.Input((8, 8, 1), dtype="uint8")
    scaled = keras.layers.Rescaling(1.0, -127.0)(raw)
    head = keras.layers.Dense(2, "softmax")
    model = keras.Model(raw, head(keras.layers.Flatten()(scaled)))
    kernel = np.stack([np.full(64, -0.002), np.full(64, 0.002)], axis=1)
    head.set_weights([kernel, np.zeros(2)])
    return model


def context_of(snapshot, place, depth):
    spec = PipelineSpec.model_validate(
        {
            "name": "some",
            "medium": "image",
            "data": {"source": "somewhere"},
            "evaluation": {"depth": depth},
        }
    )
    splits = (SplitRows(snapshot, split) for split in ("train", "val", "test"))
    store = Store(str(place / "store"))
    model = brightness()
    return Context(model, spec, DATA, snapshot.digest, "", *splits, store, place)


def climbed(context, place):
    answers = ask(context, context.test, {}, 0, JUDGE)
    return climb(EvaluatedModel(context, answers, place))


@pytest.fixture(scope="module")
def usual(snapshot, place):
    return climbed(context_of(snapshot, place, "auto"), place)


def test_a_rung_has_the_score_of_the_same_rows_after_its_shift(usual, snapshot, place):
    context = context_of(snapshot, place, "auto")
    parts = list(context.test)
    items = np.concatenate([part.items for part in parts])[:500]
    targets = np.concatenate([part.targets for part in parts])[:500]
    steps = ladder("image")
    assert steps is not None
    names = [f"rung={family} {level:g}" for family, level in steps.rungs(DATA)]
    assert [*usual.slices] == names
    for family, level in (("brightness", 0.6), ("noise", 100.0)):
        random = np.random.default_rng([0, 0])
        shifted = steps.shifted(items, family, level, DATA, random)
        outputs = answers_of(context.model, shifted)
        numbers = usual.slices[f"rung={family} {level:g}"]
        accuracy = float((outputs.argmax(axis=1) == targets).mean())
        assert numbers["rows"] == 500
        assert numbers["accuracy"] == accuracy
        assert numbers["accuracy_low"] < accuracy <= numbers["accuracy_high"]
        confidence = float(outputs.max(axis=1).mean())
        assert numbers["confidence"] == pytest.approx(confidence, abs=1e-5)
    assert usual.slices["rung=brightness 0.6"]["accuracy"] < 0.9


def test_the_metrics_are_means_over_families(usual):
    families = {}
    for name, numbers in usual.slices.items():
        family = name.removeprefix("rung=").rpartition(" ")[0]
        families.setdefault(family, []).append(numbers["accuracy"])
    mean = np.mean([np.mean(values) for values in families.values()])
    assert usual.metrics == pytest.approx(
        {"robustness_rows": 500, "robustness_accuracy": mean}
    )


def test_full_depth_takes_all_rows_and_any_block_gives_the_same(
    snapshot, place, monkeypatch
):
    context = context_of(snapshot, place, "full")
    whole = climbed(context, place)
    monkeypatch.setattr(robustness, "_BLOCK_BYTES", 4096)
    parts = climbed(context, place)
    assert whole.metrics["robustness_rows"] == ROWS
    for name, numbers in whole.slices.items():
        if name.startswith("rung=noise"):  # drawn for each block
            continue
        assert parts.slices[name] == pytest.approx(numbers)


def test_the_gate_judges_the_rows(usual):
    rows = JudgedRows("accuracy", np.ones(9, bool), None, [], **usual.rows)
    for rung, passed in (("noise 5", True), ("brightness 0.4", False)):
        arguments = {"rung": rung, "drop": 0.05}
        gate = GateSpec.model_validate({"name": "robustness", "arguments": arguments})
        assert judge_gate(gate, {}, rows).passed is passed


def test_the_ladder_is_a_picture(usual, place, is_picture):
    (draw,) = usual.drawings
    draw()
    assert is_picture(place / "robustness.png")


def test_rungs_that_change_no_item_are_left_out(write_snapshot, tmp_path):
    levels = np.arange(0, 250, dtype=np.uint8).reshape(-1, 1, 1, 1)
    plain = np.broadcast_to(levels, (250, 8, 8, 1)).copy()
    snapshot = write(write_snapshot, Store(str(tmp_path / "store")), plain)
    found = climbed(context_of(snapshot, tmp_path, "auto"), tmp_path)
    families = {name.rpartition(" ")[0] for name in found.slices}
    assert {"rung=noise", "rung=brightness"} <= families
    assert "rung=blur" not in families


def test_large_items_are_fewer():
    def rows(*shape):
        return most_rows(DATA.model_copy(update={"shape": shape}))

    assert rows(28, 28, 1) == 500
    assert rows(96, 96, 1) == 227
    assert rows(224, 224, 3) == 50


def test_a_medium_without_a_ladder_has_none(snapshot, place, monkeypatch):
    monkeypatch.setattr(robustness, "ladder", lambda _: None)
    found = climbed(context_of(snapshot, place, "auto"), place)
    assert found == Look()


def test_a_language_model_has_none(snapshot, place):
    context = context_of(snapshot, place, "auto")
    answers = ask(context, context.test, {}, 0, JUDGE)
    writing = replace(context, data=DATA.model_copy(update={"task": "generation"}))
    assert climb(EvaluatedModel(writing, answers, place)) == Look()
