"""A run is trained again from its record alone, and what differs is named."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import pytest

from headrace.errors import NotFoundError
from headrace.evidence.reproduction import reproduce
from headrace.stages import training
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.ingestion import ingest
from headrace.state.home import Home
from headrace.state.store import Store
from headrace.state.tracking import Tracking

pytestmark = pytest.mark.system


def content_of(home):
    """Every file of a home, by its digest."""
    return {
        str(file.relative_to(home)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in home.rglob("*")
        if file.is_file()
    }


def test_the_same_ingredients_give_the_same_weights(recorded):
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


def test_the_pipelines_present_folder_does_not_count(recorded):
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


def test_a_run_that_went_on_from_a_checkpoint_is_reproduced(recorded, monkeypatch):
    recipe = recorded.spec.training.model_copy(update={"checkpoint_steps": 5})
    spec = recorded.spec.model_copy(update={"training": recipe})

    def train(checkpoints):
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

    def cut_off(*_):
        raise KeyboardInterrupt

    store = Home(recorded.settings).store
    with monkeypatch.context() as patch:
        patch.setattr(training, "epoch_line", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train(Checkpoints(store, "cut-off", recipe))
    second = Checkpoints(store, "cut-off", recipe)
    resumed = train(second)
    assert second.resumed is not None
    assert resumed.weights_digest == recorded.run.weights_digest
    assert reproduce(resumed.run_id, recorded.settings).status == "same"


def test_a_run_is_found_by_how_its_id_begins(recorded):
    run_id = recorded.run.run_id
    assert reproduce(run_id[:8], recorded.settings).run_id == run_id
    client = Tracking(recorded.settings).client
    experiment = client.get_run(run_id).info.experiment_id
    others = [client.create_run(experiment).info.run_id for _ in range(17)]
    begin = Counter(other[0] for other in others).most_common(1)[0][0]
    with pytest.raises(NotFoundError, match=f"Several runs begin with '{begin}'"):
        reproduce(begin, recorded.settings)


def test_data_that_was_ingested_again_will_do(recorded):
    shutil.rmtree(Path(recorded.settings.store, "snapshots"))
    store = Store(recorded.settings.store)
    ingest(recorded.spec.data, "image", store, recorded.settings)
    assert recorded.again().status == "same"


def _another_time(record):
    record["code"]["code headrace.stages.fitting.loop"] = "0123456789abcdef"
    record["python"] = "CPython 3.10.1"
    record["distributions"] = [
        "aardvark==1.0",
        *(d for d in record["distributions"] if not d.startswith(("numpy=", "rich="))),
        "numpy==1.26.4",
    ]
    record["machine"]["cpu"] = "Another Processor"
    record["execution"]["threads"] = 99


DIFFERENCES = [
    ("code", "headrace.stages.fitting.loop"),
    ("lock", "numpy"),
    ("lock", "python"),
    ("lock", "aardvark"),
    ("lock", "rich"),
    ("device", "cpu"),
    ("device", "threads"),
]


def test_differences_that_did_not_matter_are_told(recorded):
    recorded.rewrite(_another_time)
    answer = recorded.again()
    assert answer.status == "same"
    assert [(d.kind, d.name) for d in answer.differences] == DIFFERENCES
    assert answer.reason == (
        "the weights are the same; what differs did not matter: "
        "code headrace.stages.fitting.loop, lock numpy, lock python, lock aardvark, "
        "lock rich and 2 more"
    )


def test_weights_that_differ_come_with_what_differs(recorded):
    recorded.rewrite(_another_time)
    recorded.tag(weights_digest="ab" * 32)
    answer = recorded.again()
    assert answer.status == "different"
    assert answer.weights_digest.recorded == "ab" * 32
    assert answer.weights_digest.reproduced == recorded.run.weights_digest
    assert answer.reason.startswith(
        "the weights differ; what else differs: "
        "code headrace.stages.fitting.loop, lock numpy"
    )
    found = {(d.kind, d.name): (d.then, d.now) for d in answer.differences}
    assert list(found) == DIFFERENCES
    assert found["device", "cpu"][0] == "Another Processor"
    assert found["device", "threads"][0] == "99"
    assert found["lock", "aardvark"] == ("1.0", "")
    assert found["lock", "rich"][0] == ""


def test_a_training_is_compiled_as_it_was_then(recorded):
    recorded.rewrite(lambda record: record["execution"].update(xla=True))
    assert ("device", "xla") not in {
        (d.kind, d.name) for d in recorded.again().differences
    }


def test_what_is_not_recorded_is_not_passed_over(recorded, monkeypatch):
    monkeypatch.setenv("HIDDEN_IN_TEST", "13")
    answer = recorded.again()
    assert (answer.status, answer.differences) == ("different", ())
    assert "no recorded ingredient does" in answer.reason


def test_a_setting_of_a_library_is_an_ingredient(recorded, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # too late to change a number
    (difference,) = recorded.again().differences
    assert (difference.kind, difference.name) == ("device", "TF_ENABLE_ONEDNN_OPTS")
    assert (difference.then, difference.now) == ("", "0")
