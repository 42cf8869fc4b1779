"""Which stages have work to do after which change, and what they say of it."""

import numpy as np
import pytest
from pydantic import SecretStr
from tests.src.planning.conftest import keys_of

from headrace.pipeline import PipelineSpec
from headrace.planning import Plan
from headrace.planning.results import StageKey, ingredients_of
from headrace.records import DataDescription, Record, SnapshotRecord
from headrace.stages.ingredients import closure
from headrace.state.home import Home


@pytest.mark.parametrize(
    ("table", "values", "whys"),
    [
        ("training", {"epochs": 4}, {"train": "training.epochs 3 → 4"}),
        ("training", {"seed": 2}, {"train": "training.seed 1 → 2"}),
        (
            "model",
            {"arguments": {"hidden": [32]}},
            {"train": "model.arguments.hidden [16] → [32]"},
        ),
        ("evaluation", {"mistakes": 3}, {"evaluate": "evaluation.mistakes 25 → 3"}),
        (
            "data",
            {"quarantine_limit": 0.5},
            {"validate": "data.quarantine_limit 0.05 → 0.5"},
        ),
        ("data", {"test_fraction": 0.5}, {"ingest": "data.test_fraction 0.2 → 0.5"}),
        ("promotion", {"mode": "manual"}, {}),
    ],
)
def test_a_changed_field_runs_only_the_stage_that_it_is_for(
    changed, table, values, whys
):
    """Later stages run too where the stage's record comes out differently."""
    assert changed((table, values)) == whys


def test_gates_contract_and_description(changed, trained):
    told = changed(gates=trained.spec.gates[:1])
    assert list(told) == ["evaluate"]
    assert told["evaluate"].startswith("gates.")
    assert "→ none" in told["evaluate"]
    contract = PipelineSpec.model_validate(
        {
            "name": "blobs",
            "medium": "image",
            "data": {"source": "x"},
            "contract": [{"expectation": "expect_it", "column": "mean"}],
        }
    ).contract
    assert list(changed(contract=contract)) == ["validate"]
    assert changed(description="other words") == {}


def test_the_field_of_a_gate_that_changed_is_named():
    def key(most):
        gates = [
            {"name": "accuracy", "metric": "x", "direction": "min", "threshold": 0.5},
            {"name": "even", "metric": "even", "direction": "max", "threshold": None},
        ]
        gates[1] |= {"kind": "spread", "arguments": {"most": most}}
        return StageKey("evaluate", ingredients_of({"gates": gates}, {}, {}))

    why = key(0.6).why(key(0.05).ingredients)
    assert why == "gates.even.arguments.most 0.05 → 0.6"
    without = StageKey("evaluate", {}).why(key(0.05).ingredients)
    assert "gates.even even by spread → none" in without


def test_the_order_of_gates_changes_nothing(changed, trained):
    assert len(trained.spec.gates) > 1
    assert changed(gates=trained.spec.gates[::-1]) == {}
    gates = [{"name": name, "threshold": None} for name in "ab"]
    keys = [
        StageKey("evaluate", ingredients_of({"gates": rows}, {}, {}))
        for rows in (gates, gates[::-1])
    ]
    assert keys[0].why(keys[1].ingredients) == "gates changed"


def test_another_builder_is_named(changed):
    told = changed(("model", {"builder": "cnn"}))
    assert list(told) == ["train"]
    assert 'model.builder "mlp" → "cnn"' in told["train"]
    assert "code of headrace.models.cnn" in told["train"]
    assert changed(("model", {"builder": "mlp"})) == {}, "the medium's own, by its name"


def test_new_data_is_ingested_and_all_that_follows_from_it(trained, changed, tmp_path):
    place = tmp_path / "blobs.npz"
    with np.load(trained.folder / "blobs.npz") as arrays:
        np.savez(place, **arrays)
    told = changed(("data", {"source": str(place)}))
    assert list(told) == ["ingest"]
    assert "source changed (size, time or place of a file)" in told["ingest"]
    other = trained.snapshot.model_copy(update={"digest": "0" * 64})
    plan = Plan(trained.spec, trained.folder, trained.home)
    for key in (plan.validate(other), plan.train(other, trained.contract)):
        assert plan.find(key, Record) is None
        assert plan.why(key) == "snapshot changed"


def test_an_evaluation_depends_on_the_ladder_and_on_how_references_are_fitted(trained):
    plan = Plan(trained.spec, trained.folder, trained.home)
    ingredients = plan.evaluate(trained.contract, trained.good, 1).ingredients
    assert "code headrace.media.image.ladder" in ingredients
    assert "code headrace.stages.fitting.loop" in ingredients


def test_other_quarantined_rows_train_and_evaluate_again(trained):
    plan = Plan(trained.spec, trained.folder, trained.home)
    other = trained.contract.model_copy(update={"quarantine_uri": "/q/other.parquet"})
    before = keys_of(trained)
    assert plan.train(trained.snapshot, other) != before["train"]
    assert plan.evaluate(other, trained.good, 1) != before["evaluate"]


def edit(monkeypatch, tmp_path, module, code):
    """Add code to a module of the package, as the closure sees it."""
    found = closure._module_path(module)
    assert found is not None
    edited = tmp_path / f"edited_{found.name}"
    edited.write_bytes(found.read_bytes() + code.encode())
    real = closure._module_path
    monkeypatch.setattr(
        closure, "_module_path", lambda name: edited if name == module else real(name)
    )


def test_an_edited_helper_runs_what_uses_it(changed, monkeypatch, tmp_path):
    edit(monkeypatch, tmp_path, "headrace.stages.training", "\nGOLDEN_ROWS = 2\n")
    assert changed() == {"train": "code of headrace.stages.training"}


def test_evaluations_fit_reference_models(changed, monkeypatch, tmp_path):
    edit(
        monkeypatch, tmp_path, "headrace.stages.fitting", "\nSTEPS_PER_EXECUTION = 2\n"
    )
    why = "code of headrace.stages.fitting"
    assert changed() == {"train": why, "evaluate": why}


def test_an_edited_helper_of_two_stages_runs_both(changed, monkeypatch, tmp_path):
    edit(monkeypatch, tmp_path, "headrace.models.logged.loading", "\nBLOCK = 2\n")
    why = "code of headrace.models.logged.loading"
    assert changed() == {"train": why, "evaluate": why}


def test_an_edited_comment_runs_what_uses_the_file(changed, monkeypatch, tmp_path):
    edit(monkeypatch, tmp_path, "headrace.stages.training", "\n# A thought.\n")
    assert changed() == {"train": "code of headrace.stages.training"}


def test_another_keras_runs_what_computes_with_it(changed, monkeypatch):
    versions = closure.installed()
    now = versions["keras"]
    monkeypatch.setattr(closure, "installed", lambda: {**versions, "keras": "99.0"})
    closure._version.cache_clear()
    why = f"keras {now} → 99.0"
    assert changed() == {"train": why, "evaluate": why}


def test_the_pipelines_own_code_counts(trained, tmp_path):
    (tmp_path / "model.py").write_text("def build(data):\n    return 1\n")
    model = trained.spec.model.model_copy(update={"builder": "model:build"})
    spec = trained.spec.model_copy(update={"model": model})
    plan = Plan(spec, tmp_path, trained.home)
    before = plan.train(trained.snapshot, trained.contract)
    (tmp_path / "model.py").write_text("def build(data):\n    return 2\n")
    closure._read.cache_clear()
    after = plan.train(trained.snapshot, trained.contract)
    assert before.ingredients["code model.py"] != after.ingredients["code model.py"]


def test_an_importable_builder_counts(trained, tmp_path, monkeypatch):
    (tmp_path / "nets_of_ours.py").write_text("def build(data):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    model = trained.spec.model.model_copy(update={"builder": "nets_of_ours:build"})
    spec = trained.spec.model_copy(update={"model": model})
    plan = Plan(spec, trained.folder, trained.home)
    before = plan.train(trained.snapshot, trained.contract)
    (tmp_path / "nets_of_ours.py").write_text("def build(data):\n    return 2\n")
    closure._read.cache_clear()
    after = plan.train(trained.snapshot, trained.contract)
    changed = {k for k, v in before.ingredients.items() if after.ingredients[k] != v}
    assert changed == {"code nets_of_ours"}


def test_many_changes_are_told_in_short(changed):
    values = {"epochs": 9, "seed": 9, "batch_size": 9, "momentum": 0.1, "decay": 0.1}
    told = changed(("training", values))["train"]
    assert told.count("→") == 3
    assert told.endswith(" and 2 more")


def test_the_order_of_classes_is_part_of_a_training(trained, done):
    form = trained.snapshot.description
    target = {"classes": list(form.classes[::-1])}
    turned = trained.snapshot.model_copy(
        update={"description": form.model_copy(update={"target": target})}
    )
    assert done.train(turned, trained.contract) != keys_of(trained)["train"]


@pytest.mark.parametrize("field", ["options", "target"])
def test_a_form_of_several_values_is_the_same_when_it_is_read_again(
    trained, done, field
):
    values = {"tags": ["a", "b"], "separator": "|", "at": {"wide": 2, "high": 1}}
    fields = trained.snapshot.description.model_dump()
    form = DataDescription.model_validate({**fields, field: values})
    made = trained.snapshot.model_copy(update={"description": form})
    stored = SnapshotRecord.model_validate_json(made.model_dump_json())
    first, second = [done.train(each, trained.contract) for each in (made, stored)]
    assert first == second, "a second run would train again"


def test_a_private_training_is_done_again_with_another_secret(trained):
    privacy = {"privacy": {"epsilon": 8.0}}
    fields = trained.spec.model_dump(exclude_unset=True)
    fields["training"] = {**fields["training"], **privacy}
    private = PipelineSpec.model_validate(fields)
    keys = []
    for spec, secret in (
        (private, ""),
        (private, "a" * 32),
        (private, "b" * 32),
        (trained.spec, ""),
        (trained.spec, "a" * 32),
    ):
        settings = trained.settings.model_copy(
            update={"privacy_seed": SecretStr(secret)}
        )
        plan = Plan(spec, trained.folder, Home(settings))
        keys.append(plan.train(trained.snapshot, trained.contract).ingredients)
    assert keys[0] != keys[1] != keys[2]
    assert keys[3] == keys[4], "a plain training has no secret"
    assert "a" * 32 not in str(keys)


def test_another_limit_of_an_item_ingests_again(trained):
    def ingest(stated):
        data = trained.spec.data.model_copy(update={"max_item_bytes": stated})
        spec = trained.spec.model_copy(update={"data": data})
        return Plan(spec, trained.folder, trained.home).ingest()

    usual, small = ingest(None), ingest(200)
    assert small.why(usual.ingredients) == "data.max_item_bytes None → 200"
    assert ingest(300) not in (usual, small)
