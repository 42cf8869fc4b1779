"""Which stages have work to do after which change, and what they say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace import closure
from headrace.ledger import Ledger
from headrace.planning import Key, Plan, find_finished
from headrace.promotion import conclude, roll_back
from headrace.records import Record
from headrace.registration import register
from headrace.settings import Settings
from headrace.spec import PipelineSpec

Trained = Any
STAGES = ("ingest", "validate", "train", "evaluate")
Changed = Callable[..., dict[str, str]]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """A process reads each file once; a test edits them."""
    caches: Any = (
        closure._module_path,
        closure._origin,
        closure._place,
        closure._read,
        closure._version,
    )
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def keys_of(trained: Trained, spec: PipelineSpec | None = None) -> dict[str, Key]:
    """The key of every stage, given the trained home's records."""
    plan = Plan(spec or trained.spec, trained.folder, trained.settings)
    return {
        "ingest": plan.ingest(),
        "validate": plan.validate(trained.snapshot),
        "train": plan.train(trained.snapshot, trained.contract),
        "evaluate": plan.evaluate(trained.contract, trained.good, 1),
    }


def records_of(trained: Trained) -> dict[str, Record]:
    return {
        "ingest": trained.snapshot,
        "validate": trained.contract,
        "train": trained.good,
        "evaluate": trained.good_evaluation,
    }


@pytest.fixture
def done(trained: Trained) -> Plan:
    """A plan whose stages are all done."""
    plan = Plan(trained.spec, trained.folder, trained.settings)
    for name, key in keys_of(trained).items():
        plan.save(key, records_of(trained)[name], 1.5)
    return plan


@pytest.fixture
def changed(trained: Trained, done: Plan) -> Changed:
    """The stages that would run, with what each says: why."""

    def which(*tables: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, str]:
        updates = {
            name: getattr(trained.spec, name).model_copy(update=values)
            for name, values in tables
        }
        spec = trained.spec.model_copy(update=updates | fields)
        plan = Plan(spec, trained.folder, trained.settings)
        kinds = {name: type(record) for name, record in records_of(trained).items()}
        return {
            name: plan.why(key)
            for name, key in keys_of(trained, spec).items()
            if plan.find(key, kinds[name]) is None
        }

    return which


def test_what_was_saved_is_found_with_all_its_ingredients(
    trained: Trained, done: Plan
) -> None:
    for name, key in keys_of(trained).items():
        record = records_of(trained)[name]
        assert done.find(key, type(record)) == record
        saved = done.store.read_json(f"stages/{key.fingerprint}.json")
        assert (saved["stage"], saved["pipeline"]) == (name, "blobs")
        assert (saved["ingredients"], saved["seconds"]) == (key.ingredients, 1.5)


def test_nothing_changed_nothing_runs(changed: Changed) -> None:
    assert changed() == {}


def test_a_first_run_says_so(trained: Trained, settings: Settings) -> None:
    plan = Plan(trained.spec, trained.folder, settings)
    assert plan.find(plan.ingest(), type(trained.snapshot)) is None
    assert plan.why(plan.ingest()) == "first run"


def test_a_result_that_is_gone_or_damaged_is_made_again(
    trained: Trained, done: Plan
) -> None:
    for content in (b"{", b""):
        key = done.ingest()
        done.store.write(f"stages/{key.fingerprint}.json", content)
        assert done.find(key, type(trained.snapshot)) is None
        assert done.why(key) == "its result is gone from the store"


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
    changed: Changed, table: str, values: dict[str, Any], whys: dict[str, str]
) -> None:
    """Later stages run too where the stage's record comes out differently."""
    assert changed((table, values)) == whys


def test_gates_contract_and_description(changed: Changed, trained: Trained) -> None:
    told = changed(gates=trained.spec.gates[:1])
    assert list(told) == ["evaluate"]
    assert told["evaluate"].startswith("gates [")
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


def test_another_builder_is_named(changed: Changed) -> None:
    told = changed(("model", {"builder": "cnn"}))
    assert list(told) == ["train"]
    assert 'model.builder "mlp" → "cnn"' in told["train"]
    assert "code of headrace.models.cnn" in told["train"]
    assert changed(("model", {"builder": "mlp"})) == {}, "the medium's own, by its name"


def test_new_data_is_ingested_and_all_that_follows_from_it(
    trained: Trained, changed: Changed, tmp_path: Path
) -> None:
    place = tmp_path / "blobs.npz"
    with np.load(trained.folder / "blobs.npz") as arrays:
        np.savez(place, **arrays)
    told = changed(("data", {"source": str(place)}))
    assert list(told) == ["ingest"]
    assert "source changed" in told["ingest"]
    other = trained.snapshot.model_copy(update={"digest": "0" * 64})
    plan = Plan(trained.spec, trained.folder, trained.settings)
    for key in (plan.validate(other), plan.train(other, trained.contract)):
        assert plan.find(key, Record) is None
        assert plan.why(key) == "snapshot changed"


def test_other_quarantined_rows_train_and_evaluate_again(trained: Trained) -> None:
    plan = Plan(trained.spec, trained.folder, trained.settings)
    other = trained.contract.model_copy(update={"quarantine_uri": "/q/other.parquet"})
    before = keys_of(trained)
    assert plan.train(trained.snapshot, other) != before["train"]
    assert plan.evaluate(other, trained.good, 1) != before["evaluate"]


def edit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, code: str
) -> None:
    """Add code to a module of the package, as the closure sees it."""
    found = closure._module_path(module)
    assert found is not None
    edited = tmp_path / f"edited_{found.name}"
    edited.write_bytes(found.read_bytes() + code.encode())
    real = closure._module_path
    monkeypatch.setattr(
        closure, "_module_path", lambda name: edited if name == module else real(name)
    )


def test_an_edited_helper_runs_what_uses_it(
    changed: Changed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edit(monkeypatch, tmp_path, "headrace.fitting", "\nSTEPS_PER_EXECUTION = 2\n")
    assert changed() == {"train": "code of headrace.fitting"}


def test_an_edited_helper_of_two_stages_runs_both(
    changed: Changed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edit(monkeypatch, tmp_path, "headrace.inference", "\nBLOCK = 2\n")
    why = "code of headrace.inference"
    assert changed() == {"train": why, "evaluate": why}


def test_an_edited_comment_runs_nothing(
    changed: Changed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edit(monkeypatch, tmp_path, "headrace.fitting", "\n# A thought.\n")
    assert changed() == {}


def test_another_keras_runs_what_computes_with_it(
    changed: Changed, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = closure.installed()
    now = versions["keras"]
    monkeypatch.setattr(closure, "installed", lambda: {**versions, "keras": "99.0"})
    closure._version.cache_clear()
    why = f"keras {now} → 99.0"
    assert changed() == {"train": why, "evaluate": why}


def test_the_pipelines_own_code_counts(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def build(data):\n    return 1\n")
    model = trained.spec.model.model_copy(update={"builder": "model:build"})
    spec = trained.spec.model_copy(update={"model": model})
    plan = Plan(spec, tmp_path, trained.settings)
    before = plan.train(trained.snapshot, trained.contract)
    (tmp_path / "model.py").write_text("def build(data):\n    return 2\n")
    closure._read.cache_clear()
    after = plan.train(trained.snapshot, trained.contract)
    assert before.ingredients["code model.py"] != after.ingredients["code model.py"]


def test_an_importable_builder_counts(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets_of_ours.py").write_text("def build(data):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    model = trained.spec.model.model_copy(update={"builder": "nets_of_ours:build"})
    spec = trained.spec.model_copy(update={"model": model})
    plan = Plan(spec, trained.folder, trained.settings)
    before = plan.train(trained.snapshot, trained.contract)
    (tmp_path / "nets_of_ours.py").write_text("def build(data):\n    return 2\n")
    closure._read.cache_clear()
    after = plan.train(trained.snapshot, trained.contract)
    changed = {k for k, v in before.ingredients.items() if after.ingredients[k] != v}
    assert changed == {"code nets_of_ours"}


def test_code_that_was_parsed_by_the_last_run_is_known(
    done: Plan, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert done.kept.training == trained.good
    again = Plan(trained.spec, trained.folder, trained.settings)
    closure._read.cache_clear()
    monkeypatch.setattr(closure, "_parsed", {})
    monkeypatch.setattr(closure, "_parse", None)
    assert again.kept == done.kept


def test_many_changes_are_told_in_short(changed: Changed) -> None:
    values = {"epochs": 9, "seed": 9, "batch_size": 9, "momentum": 0.1, "decay": 0.1}
    told = changed(("training", values))["train"]
    assert told.count("→") == 3
    assert told.endswith(" and 2 more")


def end(trained: Trained, **changes: Any) -> None:
    """Register and conclude the good training."""
    seen = trained.good_evaluation.model_copy(update=changes)
    place = (trained.folder, trained.snapshot, trained.good, seen, trained.settings)
    registered = register(trained.spec, *place)
    conclude(trained.spec, seen, registered, trained.settings)


def test_a_champion_is_compared_with_what_it_was_compared_with(
    trained: Trained,
) -> None:
    plan = Plan(trained.spec, trained.folder, trained.settings)
    before = plan.comparator(trained.good)
    assert plan.comparator(trained.good) == 1
    end(trained)
    champion = Ledger(trained.settings.database_url).champion("blobs")
    assert champion is not None
    assert champion.version.version == 2
    assert plan.comparator(trained.good) == 1
    assert plan.comparator(trained.weak) == 2
    assert plan.comparator(trained.good) == before


def test_a_run_is_finished_once_it_is_promoted(trained: Trained, done: Plan) -> None:
    assert find_finished(done) is None
    end(trained)
    finished = find_finished(done)
    assert finished is not None
    assert (finished.status, finished.version) == ("unchanged", 2)
    assert finished.reason == "version 2 is the champion"
    assert finished.evaluation == trained.good_evaluation


def test_a_run_that_was_refused_is_refused_again(trained: Trained, done: Plan) -> None:
    failed = trained.good_evaluation.gates[0].model_copy(
        update={"passed": False, "reason": "too low"}
    )
    gates = (failed, *trained.good_evaluation.gates[1:])
    seen = trained.good_evaluation.model_copy(update={"gates": gates})
    done.save(keys_of(trained)["evaluate"], seen, 1)
    end(trained, gates=gates)
    finished = find_finished(done)
    assert finished is not None
    assert (finished.status, finished.reason) == ("refused", "accuracy: too low")


def test_a_version_that_was_rolled_back_is_left_alone(
    trained: Trained, done: Plan
) -> None:
    end(trained)
    roll_back("blobs", trained.settings, reason="")
    finished = find_finished(done)
    assert finished is not None
    assert finished.reason == "version 2 was rolled back"


def test_a_forgotten_result_is_made_again(trained: Trained, done: Plan) -> None:
    key = keys_of(trained)["train"]
    done.forget(key)
    assert done.find(key, type(trained.good)) is None


def test_the_order_of_classes_is_part_of_a_training(
    trained: Trained, done: Plan
) -> None:
    form = trained.snapshot.description
    turned = trained.snapshot.model_copy(
        update={"description": form.model_copy(update={"classes": form.classes[::-1]})}
    )
    assert done.train(turned, trained.contract) != keys_of(trained)["train"]
