"""Whoever writes the store, and not the ledger, cannot make a model look better.

Each attack is made on the real records of a run of the packaged digits that its gates
refused, and the same command is run again.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.anchoring import anchored_at
from tests.homes import Home, states

from headrace.data.snapshots.checking import check_snapshot
from headrace.data.snapshots.reading import shards_of
from headrace.data.snapshots.splits import quarantine_name
from headrace.planning import Plan, find_finished
from headrace.records import SnapshotRecord
from headrace.settings import Settings
from headrace.spec import TrainingSpec, load_spec
from headrace.stages.fitting.checkpoints import (
    Checkpoints,
    Position,
    State,
    pack,
    unpack,
)
from headrace.state.home import Home as Opened
from headrace.state.ledger import Ledger

WEAK = ("training.epochs=1", "training.learning_rate=0.002")
COMMAND = ("run", "digits", *(f"--set={text}" for text in WEAK), "--json")


@pytest.fixture(scope="module")
def refused(tmp_path_factory, mlflow_database, prefect_server):
    """A home whose only run was refused by its gates, and what it answered."""
    place = tmp_path_factory.mktemp("refused")
    (place / "pipelines").mkdir()
    home = Home(place / "home", place)
    Settings(project=place, home=home.path).prepare_home()
    shutil.copy(mlflow_database, home.path / "mlflow.db")
    answer = home.headrace(*COMMAND)
    assert answer.exit_code == 1, answer.err
    found = answer.json
    assert found["status"] == "refused"
    assert found["metrics"]["test_accuracy"] < 0.88
    return home, found


@pytest.fixture
def attacked(refused, copy_of, tmp_path):
    """A copy of it, to be attacked."""
    return Home(copy_of(refused[0].path, tmp_path / "home"), refused[0].project)


def settings_of(home):
    return Settings(project=home.project, home=home.path, user="ada@lab")


def plan_of(home):
    folder = Path(__file__).parents[2] / "pipelines" / "digits"
    return Plan(load_spec(folder, WEAK), folder, Opened(settings_of(home)))


def saved_of(home, stage):
    """The kept result of a stage: its file and what is in it."""
    for file in (home.path / "store" / "stages").glob("*.json"):
        saved = json.loads(file.read_text())
        if saved["stage"] == stage:
            return file, saved
    raise AssertionError(stage)


def snapshot_of(home):
    """The recorded snapshot at its place in this home; the file names the first."""
    found = plan_of(home).last.snapshot
    assert found is not None
    assert Path(found.uri).is_relative_to(home.path)
    return found


def write_everywhere(home, stage, saved):
    """Forge a stage's result wherever the store has it, as Headrace would write it."""
    text = json.dumps(saved, indent=1, sort_keys=True)
    saved_of(home, stage)[0].write_text(text)
    (home.path / "store" / "pipelines" / "digits" / f"{stage}.json").write_text(text)


def forget(home, stage):
    saved_of(home, stage)[0].unlink()


def assert_nothing_was_gained(answer, truth):
    found = answer.json
    assert answer.exit_code == 1, answer.err
    assert (found["status"], found["aliases"]) == ("refused", [])
    for name in ("test_accuracy", "test_log_loss", "test_class_recall_min"):
        assert found["metrics"][name] == pytest.approx(truth["metrics"][name], abs=1e-6)
    assert found["weights_digest"] == truth["weights_digest"]


def test_an_edited_evaluation_promotes_nothing(attacked, refused):
    file, saved = saved_of(attacked, "evaluate")
    saved["record"]["metrics"]["test_accuracy"] = 0.99
    for gate in saved["record"]["gates"]:
        gate |= {"passed": True, "reason": ""}
        gate["value"] = gate["threshold"]
    write_everywhere(attacked, "evaluate", saved)
    answer = attacked.headrace(*COMMAND)
    assert_nothing_was_gained(answer, refused[1])
    assert states(answer.json)["evaluate"] == "completed"
    assert f"{file} is not the file that the ledger recorded" in answer.err
    assert Ledger(settings_of(attacked).database_url).history("digits") == []


def test_a_result_that_was_never_kept_is_not_taken(attacked):
    """A whole record, of another stage's key or in other bytes."""
    file, saved = saved_of(attacked, "ingest")
    weak = plan_of(attacked)
    settings = settings_of(attacked)
    data = weak.spec.data.model_copy(update={"test_fraction": 0.3})
    spec = weak.spec.model_copy(update={"data": data})
    plan = Plan(spec, weak.folder, Opened(settings))
    shutil.copy(file, file.with_name(f"{plan.ingest().fingerprint}.json"))
    assert weak.last.snapshot is not None
    assert plan.last.snapshot is None
    file.write_text(json.dumps(saved))
    assert plan_of(attacked).last.snapshot is None


def relabel(snapshot, rows):
    """Give test rows the label that the model may be sure of, and mend all sums."""
    folder = Path(snapshot.uri)
    manifest = json.loads((folder / "manifest.json").read_text())
    for shard in shards_of(snapshot):
        table = pq.read_table(folder / shard.name)
        labels, splits = table["label"].to_pylist(), table["split"].to_pylist()
        for row, split in enumerate(splits):
            if split == "test" and rows:
                labels[row], rows = str((int(labels[row]) + 1) % 10), rows - 1
        table = table.set_column(
            table.column_names.index("label"), "label", pa.array(labels)
        )
        pq.write_table(table, folder / shard.name)
        data = (folder / shard.name).read_bytes()
        facts = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        manifest["files"][shard.name] |= facts
    assert rows == 0
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))


def test_test_labels_changed_with_the_sums_mended_are_not_judged_on(attacked, refused):
    relabel(snapshot_of(attacked), 400)
    forget(attacked, "evaluate")
    answer = attacked.headrace(*COMMAND)
    assert_nothing_was_gained(answer, refused[1])
    assert states(answer.json)["ingest"] == "completed"
    check_snapshot(snapshot_of(attacked))


def test_labels_changed_with_the_record_mended_too_are_not_judged_on(attacked, refused):
    _, saved = saved_of(attacked, "ingest")
    snapshot = snapshot_of(attacked)
    relabel(snapshot, 400)
    manifest = Path(snapshot.uri, "manifest.json").read_bytes()
    saved["record"]["manifest_sha256"] = hashlib.sha256(manifest).hexdigest()
    write_everywhere(attacked, "ingest", saved)
    forget(attacked, "evaluate")
    assert_nothing_was_gained(attacked.headrace(*COMMAND), refused[1])


def test_a_forged_quarantine_leaves_no_row_out(attacked, refused):
    """Even one that is named by its own sum, in a contract's record that names it."""
    snapshot = snapshot_of(attacked)
    rows = [
        shard.first + place
        for shard in shards_of(snapshot)
        for place, split in enumerate(
            pq.read_table(Path(snapshot.uri, shard.name), columns=["split"])["split"]
        )
        if split.as_py() == "test"
    ][100:]
    made = attacked.path / "store" / "quarantine" / "made"
    pq.write_table(
        pa.table(
            {"row": pa.array(rows, pa.int64()), "split": pa.array(["test"] * len(rows))}
        ),
        made,
    )
    name = f"{snapshot.digest[:16]}{quarantine_name(made.read_bytes())}"
    forged = made.rename(made.with_name(name))
    _, contract = saved_of(attacked, "validate")
    contract["record"] |= {
        "quarantine_uri": str(forged),
        "quarantined": len(rows),
        "rows": {**contract["record"]["rows"], "test": 100},
    }
    write_everywhere(attacked, "validate", contract)
    forget(attacked, "evaluate")
    answer = attacked.headrace(*COMMAND)
    assert_nothing_was_gained(answer, refused[1])
    assert (
        answer.json["snapshot"]["quarantined"] == refused[1]["snapshot"]["quarantined"]
    )


def test_an_older_record_of_the_same_key_is_not_taken(attacked):
    plan = plan_of(attacked)
    key = plan.ingest()
    first = plan.find(key, SnapshotRecord)
    assert first is not None
    place = attacked.path / "store" / "stages" / f"{key.fingerprint}.json"
    older = place.read_bytes()
    plan.save(key, first.model_copy(update={"source": "another"}), 1.0)
    found = plan.find(key, SnapshotRecord)
    assert found is not None
    assert found.source == "another"
    place.write_bytes(older)
    assert plan.find(key, SnapshotRecord) is None
    plan.save(key, first, 2.0)
    authentic = place.read_bytes()
    plan.forget(key)
    place.write_bytes(authentic)
    assert plan.find(key, SnapshotRecord) is None


def test_code_that_changed_cannot_be_hidden(attacked, tmp_path, monkeypatch):
    """What is known of files by their content is not read from the store."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plan_of(attacked).last  # noqa: B018
    assert not (attacked.path / "store" / "code").exists()
    assert [*(tmp_path / "cache" / "headrace" / "code").glob("*.json")]


def checkpoints_of(home):
    return sorted((home.path / "store").glob("checkpoints/*/*.ckpt"))


def forge(file, step):
    """Weights of nothing, at a later step, with the sum made again."""
    state = unpack(file.read_bytes())
    state.progress.total_steps = state.progress.step = step
    zeros = [np.zeros_like(array) for array in state.variables]
    file.write_bytes(pack(State(state.progress, zeros, state.best)))


def test_a_forged_checkpoint_is_not_gone_on_from(attacked, refused, monkeypatch):
    shutil.rmtree(attacked.path / "store" / "stages")
    shutil.rmtree(attacked.path / "store" / "pipelines")
    command = (*COMMAND, "--set", "training.checkpoint_steps=5")
    real = Checkpoints.save

    def save(self, state):
        real(self, state)
        if state.progress.total_steps >= 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save)
        assert attacked.headrace(*command).exit_code == 130
    older, newer = checkpoints_of(attacked)
    forge(newer, 20)
    answer = attacked.headrace(*command)
    assert_nothing_was_gained(answer, refused[1])
    assert states(answer.json)["train"] == "resumed"
    assert f"{newer} is not the file that the ledger recorded" in answer.err
    why = {stage["name"]: stage["why"] for stage in answer.json["stages"]}
    assert why["train"] == "went on from epoch 1, step 15"
    assert older.name == "000000000015.ckpt"


def a_state(steps):
    values = np.full(3, steps, np.float32)
    return State(Position(total_steps=steps), [values], [])


def test_a_checkpoint_that_is_rolled_back_is_passed_over(tmp_path):
    kept = anchored_at(tmp_path / "kept")
    checkpoints = Checkpoints(kept, "k", TrainingSpec(checkpoint_steps=1))
    for steps in (5, 6):
        checkpoints.save(a_state(steps))
    older, newer = sorted((tmp_path / "kept").glob("checkpoints/k/*.ckpt"))
    newer.write_bytes(older.read_bytes())
    forged = newer.with_name("000000000007.ckpt")
    forged.write_bytes(pack(a_state(7)))
    like = a_state(0).variables
    state = checkpoints.load(like, 1, {})
    assert state is not None
    assert state.progress.total_steps == 5
    older.write_bytes(pack(a_state(4)))
    assert checkpoints.load(like, 1, {}) is None


DAMAGE = {
    "a list": b"[1,2]",
    "another record": b'{"record": {"x": 1}}',
    "no object": b"3",
    "null": b"null",
    "nothing": b"",
    "not UTF-8": b'{"record": "\xff\xfe"}',
    "deep": b"[" * 100_000,
    "wrong types": b'{"stage": 1, "ingredients": [], "record": "x", "seconds": {}, '
    b'"trials": 3, "files": [], "format": "4", "digest": null}',
    "binary": bytes(range(256)),
}


def damage(file, kind):
    if kind == "half":
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2])
    elif kind == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(DAMAGE[kind])


@pytest.mark.parametrize("kind", [*DAMAGE, "half"])
def test_damaged_files_of_the_store_are_absence(attacked, kind):
    files = [*(attacked.path / "store").glob("**/*.json")]
    assert len({file.relative_to(attacked.path).parts[1] for file in files}) >= 3
    for file in files:
        damage(file, kind)
    plan = plan_of(attacked)
    assert plan.last.snapshot is None
    assert find_finished(plan) is None
    assert plan.why(plan.ingest()) == "first run"
    assert plan.last_snapshot == ""
    answer = attacked.headrace("verify", "--json")
    assert answer.exit_code == 1
    assert "was changed" in answer.json["problem"]["what"]


def test_a_run_mends_a_store_whose_files_are_all_damaged(attacked, refused):
    kinds = [*DAMAGE, "half"]
    files = sorted(
        file for file in (attacked.path / "store").rglob("*") if file.is_file()
    )
    for number, file in enumerate(files):
        damage(file, kinds[number % len(kinds)])
    answer = attacked.headrace(*COMMAND)
    assert_nothing_was_gained(answer, refused[1])
    assert set(states(answer.json).values()) == {"completed"}
    again = attacked.headrace(*COMMAND)
    assert_nothing_was_gained(again, refused[1])
