"""A run is trained again from its record alone, and what differs is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace import training
from headrace.errors import IntegrityError, NotFoundError, UsageError
from headrace.fitting import Checkpoints
from headrace.ingestion import ingest
from headrace.records import ContractRecord, SnapshotRecord, TrainingRecord
from headrace.reproduction import Reproduction, reproduce
from headrace.settings import Settings
from headrace.spec import PipelineSpec, load_spec
from headrace.store import Store
from headrace.tracking import Tracking

SPEC = """
medium = "image"
data.source = "blobs.npz"
model = { builder = "model:build", arguments.rate = 0.2 }
training = { epochs = 2, batch_size = 16, learning_rate = 0.05, seed = 3 }
"""
MODEL = '''"""A network with dropout, as wide as another file of the folder says."""

import os
import runpy
from pathlib import Path

SIZES = runpy.run_path(str(Path(__file__).parent / "sizes.py"))


def build(data, rate):
    import keras

    hidden = int(os.environ.get("HIDDEN_IN_TEST", SIZES["HIDDEN"]))
    layers = keras.layers
    raw = keras.Input(data.shape)
    flat = layers.Flatten()(layers.Rescaling(1 / 255)(raw))
    given = keras.Input(flat.shape[1:])
    x = layers.Dense(hidden, activation="relu")(given)
    x = layers.Dropout(rate)(x)
    out = layers.Dense(len(data.classes), activation="softmax")(x)
    return keras.Model(raw, flat), keras.Model(given, out)
'''


@dataclass(frozen=True)
class Recorded:
    """A home with one training, its builder in the pipeline's folder."""

    settings: Settings
    folder: Path
    spec: PipelineSpec
    snapshot: SnapshotRecord
    contract: ContractRecord
    run: TrainingRecord

    def artifact(self, path: str) -> Path:
        artifacts = self.settings.home / "mlartifacts" / "own" / self.run.run_id
        return artifacts / "artifacts" / path

    def tag(self, **values: str) -> None:
        tags = {f"headrace.{name}": value for name, value in values.items()}
        Tracking(self.settings).log_tags(self.run.run_id, tags)

    def rewrite(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Let the record say something else, and its tag vouch for that."""
        file = self.artifact("pipeline/ingredients.json")
        record = json.loads(file.read_bytes())
        change(record)
        file.write_text(json.dumps(record))
        self.tag(ingredients=hashlib.sha256(file.read_bytes()).hexdigest())

    def again(self) -> Reproduction:
        return reproduce(self.run.run_id, self.settings)


def _set_aside(snapshot: SnapshotRecord, store: Store) -> str:
    """A quarantine of one row of train."""
    items = pq.read_table(f"{snapshot.uri}/items")
    splits = items["split"].to_pylist()
    table = pa.table({"row": [splits.index("train")], "split": ["train"]})
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return store.write("quarantine/one-row.parquet", buffer.getvalue().to_pybytes())


@pytest.fixture(scope="module")
def _recorded(
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_database: Path,
    write_data: Callable[..., Path],
) -> Recorded:
    project = tmp_path_factory.mktemp("own")
    folder = project / "pipelines" / "own"
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(SPEC)
    (folder / "model.py").write_text(MODEL)
    (folder / "sizes.py").write_text("HIDDEN = 12\n")
    source = write_data(folder / "blobs.npz")
    settings = Settings(project=project, home=project / "home", user="ada@lab")
    settings.prepare_home()
    shutil.copy(mlflow_database, settings.home / "mlflow.db")
    spec = load_spec(folder, (f"data.source={str(source)!r}",))
    store = Store(settings.store)
    snapshot = ingest(spec.data, "image", store, settings)
    contract = ContractRecord(
        snapshot_digest=snapshot.digest,
        rows=snapshot.rows,
        quarantined=1,
        quarantine_uri=_set_aside(snapshot, store),
        docs_uri="",
        results=(),
    )
    run = training.train(spec, folder, "model:build", snapshot, contract, settings, {})
    return Recorded(settings, folder, spec, snapshot, contract, run)


@pytest.fixture
def recorded(
    _recorded: Recorded, copy_of: Callable[[Path, Path], Path], tmp_path: Path
) -> Recorded:
    """A copy of the home, to do with as a test likes."""
    home = copy_of(_recorded.settings.home, tmp_path / "home")
    project = _recorded.settings.project
    return replace(
        _recorded, settings=Settings(project=project, home=home, user="ada@lab")
    )


def content_of(home: Path) -> dict[str, str]:
    """Every file of a home, by its digest."""
    return {
        str(file.relative_to(home)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in home.rglob("*")
        if file.is_file()
    }


def test_the_same_ingredients_give_the_same_weights(recorded: Recorded) -> None:
    before = content_of(recorded.settings.home)
    answer = recorded.again()
    assert answer.status == "same"
    assert answer.weights_digest.reproduced == recorded.run.weights_digest
    assert answer.weights_digest.recorded == recorded.run.weights_digest
    assert answer.differences == ()
    assert answer.reason == "the weights are the same"
    assert (answer.run_id, answer.pipeline) == (recorded.run.run_id, "own")
    for name in ("train_loss", "val_loss", "best_epoch"):
        assert answer.metrics[name] == recorded.run.metrics[name]
    assert content_of(recorded.settings.home) == before, "a repeat leaves no trace"


def test_the_pipelines_present_folder_does_not_count(recorded: Recorded) -> None:
    aside = recorded.folder.with_name("aside")
    shutil.copytree(recorded.folder, aside)
    try:
        (recorded.folder / "model.py").write_text("raise RuntimeError('edited')\n")
        assert recorded.again().status == "same"
        shutil.rmtree(recorded.folder)
        assert recorded.again().status == "same"
    finally:
        shutil.rmtree(recorded.folder, ignore_errors=True)
        aside.rename(recorded.folder)


def test_a_run_that_went_on_from_a_checkpoint_is_reproduced(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recorded.spec.training.model_copy(update={"checkpoint_steps": 5})
    spec = recorded.spec.model_copy(update={"training": recipe})

    def train(checkpoints: Checkpoints) -> TrainingRecord:
        return training.train(
            spec,
            recorded.folder,
            "model:build",
            recorded.snapshot,
            recorded.contract,
            recorded.settings,
            {},
            checkpoints,
        )

    def cut_off(*_: Any) -> str:
        raise KeyboardInterrupt

    store = Store(recorded.settings.store)
    with monkeypatch.context() as patch:
        patch.setattr(training, "progress_line", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(Checkpoints(store, "cut-off", recipe))
    second = Checkpoints(store, "cut-off", recipe)
    resumed = train(second)
    assert second.resumed is not None
    assert resumed.weights_digest == recorded.run.weights_digest
    assert reproduce(resumed.run_id, recorded.settings).status == "same"


def test_a_run_is_found_by_how_its_id_begins(recorded: Recorded) -> None:
    run_id = recorded.run.run_id
    assert reproduce(run_id[:8], recorded.settings).run_id == run_id
    client = Tracking(recorded.settings).client
    experiment = client.get_run(run_id).info.experiment_id
    others = [client.create_run(experiment).info.run_id for _ in range(17)]
    begin = Counter(other[0] for other in others).most_common(1)[0][0]
    with pytest.raises(NotFoundError, match=f"Several runs begin with '{begin}'"):
        reproduce(begin, recorded.settings)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0" * 32, "has no run '00000"),
        ("own", "has no run 'own'"),
        ("1%", "has no run '1%'"),
        ("own@champion", "own has no champion"),
        ("own@challenger", "own has no challenger"),
        ("own/1", "no version 1 of own"),
    ],
)
def test_a_run_that_is_not_there_is_said(
    recorded: Recorded, name: str, message: str
) -> None:
    with pytest.raises(NotFoundError, match=message):
        reproduce(name, recorded.settings)


def test_no_home_is_made_to_find_nothing(tmp_path: Path) -> None:
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    with pytest.raises(NotFoundError, match="There is no home"):
        reproduce("abc", settings)
    assert not settings.home.exists()


def test_what_cannot_be_reproduced_says_why(recorded: Recorded) -> None:
    client = Tracking(recorded.settings).client
    experiment = client.get_run(recorded.run.run_id).info.experiment_id
    run_id = client.create_run(experiment).info.run_id

    def refused() -> str:
        with pytest.raises(UsageError) as caught:
            reproduce(run_id, recorded.settings)
        return str(caught.value)

    assert "is not a training of Headrace" in refused()
    client.set_tag(run_id, "headrace.pipeline", "own")
    assert "did not finish (it is RUNNING)" in refused()
    client.set_terminated(run_id, "FINISHED")
    assert "has no record of its ingredients" in refused()


@pytest.mark.parametrize(
    "path",
    [
        "pipeline/model.py",
        "pipeline/sizes.py",
        "pipeline/spec.json",
        "pipeline/ingredients.json",
        "data/snapshot.json",
        "data/contract.json",
    ],
)
def test_a_file_that_was_changed_is_refused_and_nothing_imported(
    recorded: Recorded, path: str, tmp_path: Path
) -> None:
    planted = f"open({str(tmp_path / 'was-here')!r}, 'w').close()\n"
    file = recorded.artifact(path)
    changed = planted if file.suffix == ".py" else " "
    file.write_text(changed + file.read_text())
    with pytest.raises(IntegrityError, match=rf"{path} of the run .*changed or dam"):
        recorded.again()
    assert not (tmp_path / "was-here").exists()


def test_a_file_that_was_added_is_not_used(recorded: Recorded, tmp_path: Path) -> None:
    planted = f"open({str(tmp_path / 'was-here')!r}, 'w').close()\n"
    recorded.artifact("pipeline/os.py").write_text(planted)
    recorded.artifact("pipeline/keras.py").write_text(planted)
    assert recorded.again().status == "same"
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize("path", ["pipeline/ingredients.json", "pipeline/model.py"])
def test_a_file_that_is_gone_is_said(recorded: Recorded, path: str) -> None:
    recorded.artifact(path).unlink()
    with pytest.raises(IntegrityError, match=rf"artifact {path} .* is gone"):
        recorded.again()


@pytest.mark.parametrize(
    ("place", "damage", "message"),
    [
        ("snapshots/*/manifest.json", None, "The data is gone: .*headrace check own"),
        ("snapshots/*/manifest.json", b"{}", "The data is gone: .*headrace check own"),
        ("snapshots/*/items/0000.parquet", b"PAR1", "not the file that was written"),
        ("quarantine/one-row.parquet", None, "The quarantine .* cannot be read"),
        ("quarantine/one-row.parquet", b"PAR1", "The quarantine .* is not the one"),
    ],
)
def test_data_that_is_gone_or_damaged_is_named(
    recorded: Recorded, place: str, damage: bytes | None, message: str
) -> None:
    (file,) = Path(recorded.settings.store).glob(place)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)
    with pytest.raises(IntegrityError, match=message):
        recorded.again()


def test_data_that_was_ingested_again_will_do(recorded: Recorded) -> None:
    shutil.rmtree(Path(recorded.settings.store, "snapshots"))
    store = Store(recorded.settings.store)
    ingest(recorded.spec.data, "image", store, recorded.settings)
    assert recorded.again().status == "same"


def _another_time(record: dict[str, Any]) -> None:
    record["code"]["code headrace.fitting.loop"] = "0123456789abcdef"
    record["python"] = "CPython 3.10.1"
    record["distributions"] = [
        "aardvark==1.0",
        *(d for d in record["distributions"] if not d.startswith(("numpy=", "rich="))),
        "numpy==1.26.4",
    ]
    record["machine"]["cpu"] = "Another Processor"
    record["execution"]["xla"] = True


DIFFERENCES = [
    ("code", "headrace.fitting.loop"),
    ("lock", "numpy"),
    ("lock", "python"),
    ("lock", "aardvark"),
    ("lock", "rich"),
    ("device", "cpu"),
    ("device", "xla"),
]


def test_differences_that_did_not_matter_are_told(recorded: Recorded) -> None:
    recorded.rewrite(_another_time)
    answer = recorded.again()
    assert answer.status == "same"
    assert [(d.kind, d.name) for d in answer.differences] == DIFFERENCES
    assert answer.reason == (
        "the weights are the same; what differs did not matter: "
        "code headrace.fitting.loop, lock numpy, lock python, lock aardvark, lock rich "
        "and 2 more"
    )


def test_weights_that_differ_come_with_what_differs(recorded: Recorded) -> None:
    recorded.rewrite(_another_time)
    recorded.tag(weights_digest="ab" * 32)
    answer = recorded.again()
    assert answer.status == "different"
    assert answer.weights_digest.recorded == "ab" * 32
    assert answer.weights_digest.reproduced == recorded.run.weights_digest
    assert answer.reason.startswith(
        "the weights differ; what else differs: code headrace.fitting.loop, lock numpy"
    )
    found = {(d.kind, d.name): (d.then, d.now) for d in answer.differences}
    assert list(found) == DIFFERENCES
    assert found["device", "cpu"][0] == "Another Processor"
    assert found["device", "xla"] == ("True", "False")
    assert found["lock", "aardvark"] == ("1.0", "")
    assert found["lock", "rich"][0] == ""


def test_what_is_not_recorded_is_not_passed_over(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN_IN_TEST", "13")
    answer = recorded.again()
    assert (answer.status, answer.differences) == ("different", ())
    assert "no recorded ingredient does" in answer.reason


def test_a_setting_of_a_library_is_an_ingredient(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # too late to change a number
    (difference,) = recorded.again().differences
    assert (difference.kind, difference.name) == ("device", "TF_ENABLE_ONEDNN_OPTS")
    assert (difference.then, difference.now) == ("", "0")


def test_a_record_of_another_form_is_not_guessed_at(recorded: Recorded) -> None:
    recorded.rewrite(lambda record: record.update(format=2))
    with pytest.raises(UsageError, match=r"not of this version's form.*format"):
        recorded.again()


def test_a_record_names_no_file_outside_of_it(recorded: Recorded) -> None:
    recorded.rewrite(lambda record: record["files"].update({"../x": "0" * 64}))
    with pytest.raises(IntegrityError, match=r"a file outside: \.\./x"):
        recorded.again()


def test_a_builder_that_cannot_be_imported_comes_with_what_differs(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.rewrite(lambda record: record["distributions"].append("dropped==1.0"))
    monkeypatch.setenv("HIDDEN_IN_TEST", "many")
    with pytest.raises(UsageError, match=r"cannot be trained again .*lock dropped"):
        recorded.again()
