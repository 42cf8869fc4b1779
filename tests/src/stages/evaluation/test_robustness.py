"""Test rows on the rungs of a ladder: numbers, a picture and rows for gates."""

from dataclasses import replace

import numpy as np
import pytest

from headrace.data.snapshots.splits import SplitRows
from headrace.gates.kinds import judge_gate
from headrace.media import ladder
from headrace.models.logged.loading import answers as answers_of
from headrace.pipeline import GateSpec, PipelineSpec
from headrace.records import DataDescription
from headrace.stages.evaluation import robustness
from headrace.stages.evaluation.answers import EvaluatedModel, Look, Parts, ask
from headrace.stages.evaluation.robustness import (
    RungRows,
    climb,
    drop_bound,
    most_rows,
)
from headrace.stages.processes import OtherProcess
from headrace.state.store import Store
from headrace.tasks import task
from headrace.tasks.forms import Context

DATA = DataDescription(
    medium="image", shape=(8, 8, 1), target={"classes": ["dark", "light"]}
)
JUDGE = task("classification").judge
ROWS, LEVEL = 700, 0.05


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


def test_gates_name_a_rung_and_its_bounds(usual):
    parts = Parts(OtherProcess())
    parts.add(usual._replace(drawings=()))
    for rung, passed in (("noise 5", True), ("brightness 0.4", False)):
        for bound, direction, threshold in (
            ("drop_high", "max", 0.05),
            ("accuracy_low", "min", 0.9),
        ):
            metric = f"rung={rung}/{bound}"
            fields = {"direction": direction, "threshold": threshold}
            gate = GateSpec.model_validate({"name": "x", "metric": metric, **fields})
            assert judge_gate(gate, parts.values()).passed is passed
    gate = gate.model_copy(update={"metric": "rung=noise 6/drop_high"})
    result = judge_gate(gate, parts.values())
    assert (result.passed, result.value) == (False, None)
    assert result.reason.startswith("there is no metric rung=noise 6/drop_high. Did")


def rung(scores, weights=None):
    return RungRows("noise", 25, np.asarray(scores), weights, None)


def test_a_drop_has_the_bound_of_pairs():
    """No more than 6.16 % are lost: 2 of 100, by Clopper and Pearson."""
    after, before = rung(np.arange(100) < 97), rung(np.arange(100) < 99)
    bound = drop_bound(after, before, LEVEL, higher_is_better=True)
    assert bound == pytest.approx(0.0616, abs=1e-4)


def test_a_drop_of_errors_is_that_of_their_differences():
    errors = np.linspace(0.5, 1.5, 101)
    bound = drop_bound(rung(errors), rung(errors - 0.2), LEVEL, higher_is_better=False)
    assert bound == pytest.approx(0.2)


def test_scores_that_are_not_finite_have_no_bound():
    for huge in (1e39, np.nan):
        errors = np.full(60, 0.1)
        errors[0] = huge
        sides = rung(errors), rung(np.full(60, 0.1))
        assert np.isnan(drop_bound(*sides, LEVEL, higher_is_better=False))
        assert np.isnan(drop_bound(*sides[::-1], LEVEL, higher_is_better=False))
    single = rung(np.array([0.1]))
    assert np.isnan(drop_bound(single, single, LEVEL, higher_is_better=False))


@pytest.mark.parametrize("size", [1e39, -1e39, 1e308, -1e308, np.nan, np.inf, -1.0])
def test_weights_that_are_no_sizes_have_no_bound(size):
    errors, weights = np.full(60, 0.9), np.ones(60)
    other = weights.copy()
    other[0] = size
    plain, nothing = rung(errors, weights), rung(errors, np.zeros(60))
    assert drop_bound(plain, plain, LEVEL, higher_is_better=False) == 0
    for sides in ((rung(errors, other), plain), (nothing, nothing)):
        assert np.isnan(drop_bound(*sides, LEVEL, higher_is_better=False))


@pytest.mark.parametrize("rows", [100, 500])
@pytest.mark.parametrize(("drop", "gained"), [(0.02, 0.03), (0.05, 0.0), (0.1, 0.03)])
def test_a_model_that_loses_as_much_as_the_limit_passes_in_about_5_percent(
    rows, drop, gained
):
    random, draws = np.random.default_rng(0), 2000
    shares = [drop + gained, gained, 1 - drop - 2 * gained]
    passed = 0
    for lost, won, _ in random.multinomial(rows, shares, draws).tolist():
        before, after = np.ones(rows, bool), np.ones(rows, bool)
        after[:lost] = False
        before[lost : lost + won] = False
        bound = drop_bound(rung(after), rung(before), LEVEL, higher_is_better=True)
        passed += bound <= drop
    assert passed / draws <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / draws) ** 0.5


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
