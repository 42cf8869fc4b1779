"""Attacks of real models: one that learned by heart, and one that did not."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.blobs import BLOBS, a_contract, spec_of

from headrace.data.snapshots.splits import SplitRows
from headrace.imports.backend import compiled
from headrace.models.logged import loading
from headrace.pipeline import load_spec
from headrace.stages.evaluation import evaluate
from headrace.stages.evaluation.answers import Look
from headrace.stages.evaluation.membership import (
    NOT_ASKED,
    Membership,
    figures_of,
)
from headrace.stages.evaluation.membership.references import (
    AttackedRows,
    ReferenceRecipe,
    _fitted,
    losses_of_references,
)
from headrace.stages.ingestion import ingest
from headrace.stages.training import train
from headrace.state.home import Home
from headrace.state.store import Store

pytestmark = pytest.mark.system

GATE = "gates=[{name = 'membership'}]"


def full(project, *overrides):
    return spec_of(project, "evaluation.depth=full", GATE, *overrides)


def membership(record):
    return next(gate for gate in record.gates if gate.name == "membership")


def trained_anew(trained):
    """A run of its own: evaluations of the shared one would show in other tests."""
    place = trained.folder, "mlp", trained.snapshot, trained.contract
    return train(trained.spec, *place, trained.settings, {})


def attacked(trained):
    spec = full(trained.settings.project)
    place = spec, trained.snapshot, trained.contract, trained_anew(trained)
    return evaluate(*place, None, trained.home, folder=trained.folder)


def written(trained):
    """What is kept of reference models, oldest first."""
    folder = Path(trained.settings.store) / "references"
    files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime_ns)
    return [f"references/{file.name}" for file in files]


def test_a_model_of_easy_rows_passes_and_references_are_fitted_once(trained, caplog):
    caplog.set_level(logging.INFO, "headrace")
    before = written(trained)
    record = attacked(trained)
    gate, metrics = membership(record), record.metrics
    assert gate.passed, gate.reason
    assert gate.value == metrics["membership_auc_high"] <= 0.62
    low, auc = metrics["membership_auc_low"], metrics["membership_auc"]
    assert low < auc < metrics["membership_auc_high"]
    assert "membership_tpr_at_1pct" not in metrics  # of fewer than 100 others
    shown = [r.message for r in caplog.records if "reference model " in r.message]
    assert [line.split()[2] for line in shown] == [f"{n}/8" for n in range(1, 9)]

    store = trained.home.store
    kept = [key for key in written(trained) if key not in before]
    assert len(kept) == 8
    store.delete(kept[2])  # as if it had been killed there
    store.write(kept[5], b"forged")
    caplog.clear()
    again = attacked(trained)
    assert again.metrics["membership_auc"] == auc
    lines = [r.message for r in caplog.records if "reference model " in r.message]
    fitted = [n for n, line in enumerate(lines) if not line.endswith("kept")]
    assert fitted == [2, 5]
    assert "is damaged: it is made again" in caplog.text


def test_at_the_standard_depth_the_gate_fails(trained):
    spec = spec_of(trained.settings.project, GATE)
    place = spec, trained.snapshot, trained.contract, trained_anew(trained)
    record = evaluate(*place, None, trained.home)
    gate = membership(record)
    assert (gate.passed, gate.value, gate.threshold) == (False, None, 0.62)
    assert gate.reason == "there is no metric membership_auc_high"
    assert "membership_auc" not in record.metrics
    assert [finding.check for finding in record.findings] == ["few_rows"]  # of val


def test_a_model_that_learned_random_labels_by_heart_is_flagged(settings, tmp_path):
    """Nothing can be learned of them but the rows themselves."""
    folder = tmp_path / "pipelines" / "noise"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (400, 8, 8), np.uint8)
    labels = random.integers(0, 3, 400)
    np.savez(
        folder / "noise.npz",
        x_train=images[:200],
        y_train=labels[:200],
        x_test=images[200:],
        y_test=labels[200:],
    )
    text = BLOBS.replace("blobs.npz", str(folder / "noise.npz"))
    text = text.replace("epochs = 3", "epochs = 30, schedule = 'cosine'").replace(
        "[16]", "[64]"
    )
    (folder / "pipeline.toml").write_text(text)
    spec = load_spec(folder, ("evaluation.depth=full", GATE))
    snapshot = ingest(spec.data, "image", Store(settings.store), settings)
    contract = a_contract(snapshot)
    training = train(spec, folder, "mlp", snapshot, contract, settings, {})

    record = evaluate(
        spec, snapshot, contract, training, None, Home(settings), folder=folder
    )

    gate = membership(record)
    assert not gate.passed
    assert record.metrics["membership_auc_low"] > 0.62
    assert record.metrics["membership_tpr_at_1pct"] > 0.05


def test_what_was_not_measured_is_a_warning_where_it_was_asked_for():
    part = figures_of("a model for synthesis shows no loss")
    (finding,) = part.findings
    assert (part.metrics, finding.check) == ({}, "membership")
    assert finding.message == (
        "membership inference was not measured: a model for synthesis shows no loss"
    )
    assert figures_of(NOT_ASKED) == Look()
    part = figures_of(Membership(0.6, 0.5, 0.7, None, 10, 20))
    assert (len(part.metrics), part.findings) == (3, ())


FROZEN = """
import keras

YIELDS = "vector"


def build(data, **_):
    raw = keras.Input(data.shape)
    preprocessing = keras.Model(raw, keras.layers.Rescaling(1 / 255)(raw))
    items = keras.Input(data.shape)
    same = keras.initializers.GlorotUniform(seed=5)  # as if it were pretrained
    features = keras.layers.Dense(
        16, "relu", kernel_initializer=same, trainable=False
    )
    return preprocessing, keras.Model(items, features(keras.layers.Flatten()(items)))
"""


def test_what_is_frozen_is_computed_once_for_all_references(
    trained, tmp_path, monkeypatch
):
    (tmp_path / "own.py").write_text(FROZEN)
    monkeypatch.chdir(tmp_path)
    model = {"builder": "own:build"}
    spec = full(trained.settings.project)
    spec = spec.model_copy(update={"model": spec.model.model_copy(update=model)})
    place = trained.snapshot, trained.contract
    recipe = ReferenceRecipe(spec, "own:build", tmp_path, *place, trained.home)
    train, test = (SplitRows(trained.snapshot, name) for name in ("train", "test"))
    rows = AttackedRows(train, test)
    computed = []

    def counted(model):
        compute = compiled(model)

        def count(items):
            computed.append(len(items) if model.non_trainable_weights else 0)
            return compute(items)

        return count

    monkeypatch.setattr(loading, "compiled", counted)
    losses = losses_of_references(recipe, rows, trained.home.store)
    val = len(SplitRows(trained.snapshot, "val"))
    assert sum(computed) == len(train) + len(test) + val
    plain = replace(recipe, home=None)
    for number in (0, 5):
        expected = _fitted(plain, rows, number)
        np.testing.assert_allclose(losses[:, number], expected, atol=1e-4)
