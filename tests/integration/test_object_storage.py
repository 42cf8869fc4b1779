"""Everything in object storage: the same outcome as on a disk, faults or not."""

import time

import pytest
from tests.faults.proxy import never
from tests.faults.storage import BUCKET

from headrace.errors import DependencyError
from headrace.state import remote
from headrace.state.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_all_commands_work_on_it_as_on_a_disk(place, storage, run_on_a_disk):
    checked = place.headrace("check", "blobs", "--data", "default")
    assert checked["exit"] == 0, checked["told"]
    ran = place.headrace("run", "blobs")
    assert (ran["exit"], ran["status"]) == (0, "promoted"), ran["told"]
    assert ran["snapshot"]["digest"] == run_on_a_disk["snapshot"]["digest"]
    assert ran["weights_digest"] == run_on_a_disk["weights_digest"]
    assert ran["snapshot"]["uri"].startswith(f"s3://{BUCKET}/team/snapshots/")
    assert ran["links"]["data_docs"].startswith(f"s3://{BUCKET}/team/data_docs/")
    kinds = {key.split("/")[1] for key in storage.keys()}
    assert {"snapshots", "stages", "data_docs", "mlartifacts"} <= kinds
    assert "checkpoints" not in kinds
    assert not (place.home / "store").exists()
    assert not (place.home / "mlartifacts").exists()

    before = len(storage.proxy.requests)
    again = place.headrace("run", "blobs")
    assert again["status"] == "unchanged", again["told"]
    assert len(storage.proxy.requests) - before < 15

    search = ("--trials", "2", "--set", "training.learning_rate=log(1e-2,1)")
    tuned = place.headrace("tune", "blobs", *search)
    assert tuned["exit"] == 0, tuned["told"]
    output = f"s3://{BUCKET}/scored.csv"
    source = str(place.project / "pipelines" / "blobs" / "blobs.npz")
    scored = place.headrace("score", "blobs", source, output)
    assert scored["exit"] == 0, scored["told"]
    assert "scored.csv" in storage.keys()
    repeated = place.headrace("reproduce", "blobs@champion")
    assert repeated["status"] == "same", repeated["told"]


@pytest.mark.parametrize(
    ("variables", "fault", "named"),
    [
        ({"HEADRACE_STORE": "s3://no-such-bucket/x"}, "", ["no-such-bucket"]),
        ({}, "refuse", [BUCKET, "InvalidAccessKeyId", "AWS_SECRET_ACCESS_KEY"]),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "",
            [BUCKET, "AWS_ACCESS_KEY_ID"],
        ),
    ],
)
def test_a_wrong_bucket_or_key_is_named(place, storage, variables, fault, named):
    storage.proxy.plan = lambda request: fault
    ran = place.headrace("run", "blobs", AWS_EC2_METADATA_DISABLED="true", **variables)
    assert ran["exit"] == 2, ran["told"]
    assert "HEADRACE_STORE" in ran["reason"] or "AWS_" in ran["reason"]
    for name in named:
        assert name in ran["reason"]
    assert "canary" not in ran["told"]


@pytest.fixture
def store(storage):
    return Store(f"s3://{BUCKET}/x")


def test_the_marker_of_a_folder_comes_last(storage, store):
    storage.proxy.plan = lambda r: "busy" if r.path.endswith("/sub/file") else ""
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(DependencyError, match="s3://models/x/whole/sub/file"),
    ):
        patch.setattr(remote, "LIMIT_SECONDS", 1.0)
        fill(store)
    assert not store.exists("whole/marker")
    storage.proxy.plan = never
    fill(store)
    assert store.read("whole/marker") == b"marker"
    assert store.read("whole/sub/file") == b"file"


def fill(store):
    with store.new_folder("whole", "marker") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("file")
        (folder / "marker").write_text("marker")


@pytest.mark.parametrize("fault", ["busy", "lost", "cut"])
@pytest.mark.parametrize("call", ["write", "read", "exists", "names", "delete"])
def test_a_call_that_failed_twice_is_made_again(storage, store, call, fault):
    store.write("a/b", bytes(100_000))
    since = len(storage.proxy.requests)
    storage.proxy.plan = lambda r: fault if r.number <= since + 2 else ""
    calls = {
        "write": lambda: store.write("a/b", bytes(100_000)),
        "read": lambda: store.read("a/b"),
        "exists": lambda: store.exists("a/b"),
        "names": lambda: store.names("a"),
        "delete": lambda: store.delete("a/b"),
    }
    answers = {"read": bytes(100_000), "exists": True, "names": ["b"]}
    found = calls[call]()
    if call in answers:
        assert found == answers[call]
    assert store.exists("a/b") == (call != "delete")


def test_a_call_that_hangs_ends(storage, monkeypatch):
    monkeypatch.setattr(remote, "READ_SECONDS", 1)
    monkeypatch.setattr(remote, "LIMIT_SECONDS", 3.0)
    storage.proxy.plan = lambda request: "hang"
    started = time.monotonic()
    with pytest.raises(DependencyError, match="no answer in time") as caught:
        Store(f"s3://{BUCKET}/hanging").read("key")
    assert time.monotonic() - started < 60  # by itself, the client waits for minutes
    assert caught.value.was_retried
    assert len(storage.proxy.requests) >= 2
