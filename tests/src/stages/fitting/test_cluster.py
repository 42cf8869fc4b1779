"""Two machines, here two processes, fit as one would; a dead one ends the other."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.blobs import a_contract
from tests.src.stages.fitting.conftest import examples, recipe

from headrace.errors import DependencyError, UsageError
from headrace.records import DataDescription
from headrace.stages.fitting import cluster
from headrace.state.store import Store

ROOT = Path(__file__).parents[4]
CHIEF, WORKER = "tests.src.stages.fitting.chief", "headrace.stages.fitting.worker"
SMALL = DataDescription(medium="image", shape=(4, 4, 1), classes=("dark", "bright"))
Given = Callable[..., Path]
processes = pytest.mark.integration


@pytest.fixture
def given(tmp_path, write_snapshot):
    """A file for the chief, with a snapshot of 160 rows to train on."""

    def write(checkpoints="", dropout=0, **changes):
        rows = examples(200)
        split = ["train"] * 160 + ["val"] * 20 + ["test"] * 20
        columns = {
            "split": split,
            "label": [SMALL.classes[i] for i in rows.targets],
            "name": [str(i) for i in range(200)],
        }
        store = Store(str(tmp_path / "store"))
        snapshot = write_snapshot(store, SMALL, rows.items, columns)
        spec = recipe(**{"epochs": 1, "batch_size": 16} | changes)
        arguments = {"hidden": [8], "dropout": dropout}
        model = spec.model.model_copy(update={"arguments": arguments})
        parts = {
            "spec": spec.model_copy(update={"model": model}),
            "snapshot": snapshot,
            "contract": a_contract(snapshot),
        }
        facts = {name: part.model_dump(mode="json") for name, part in parts.items()}
        file = tmp_path / "given.json"
        file.write_text(json.dumps(facts | {"checkpoints": checkpoints}))
        return file

    return write


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(module, *arguments, store, config=""):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment
        | {"CUDA_VISIBLE_DEVICES": "", "HEADRACE_STORE": str(store)}
        | ({"TF_CONFIG": config} if config else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def two(file):
    """A chief and a worker; both are gone afterwards."""
    workers = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    configs = [
        json.dumps(
            {
                "cluster": {"worker": workers},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(2)
    ]
    store = file.parent / "store"
    chief = start(CHIEF, str(file), store=store, config=configs[0])
    worker = start(WORKER, store=store, config=configs[1])
    try:
        yield chief, worker
    finally:
        for process in (chief, worker):
            process.kill()
            process.communicate()


def answer(process, code=0):
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, err[-3000:]
    last = json.loads(out.splitlines()[-1])
    return last


@processes
def test_two_processes_give_after_ten_steps_what_one_gives(
    given: Given, tmp_path: Path
) -> None:
    file = given()
    one = answer(start(CHIEF, str(file), store=tmp_path / "store"))
    with two(file) as (chief, worker):
        both = answer(chief)
        _, said = worker.communicate(timeout=600)
    assert worker.returncode == 0, said[-3000:]
    assert one["execution"]["steps_per_epoch"] == 10
    assert np.allclose(one["weights"], both["weights"], rtol=0, atol=1e-5)
    assert both["digest"][:16] in said
    execution = both["execution"]
    assert execution["strategy"] == "CollectiveAllReduceStrategy"
    assert (execution["replicas"], execution["batch_size"]) == (2, 16)


@processes
def test_both_go_on_from_the_chiefs_checkpoint(given: Given, tmp_path: Path) -> None:
    changes = {"checkpoint_steps": 5, "epochs": 3, "dropout": 0.5}
    file = given(str(tmp_path / "whole"), **changes)
    with two(file) as (chief, _):
        whole = answer(chief)
    file = given(str(tmp_path / "cut"), **changes)
    with two(file) as (chief, _):
        assert chief.stdout is not None
        chief.stdout.readline()
        chief.kill()
    with two(file) as (chief, _):
        gone_on = answer(chief)
    assert gone_on["resumed"]
    assert gone_on["digest"] == whole["digest"]


@processes
@pytest.mark.parametrize("dead", ["chief", "worker"])
def test_a_killed_process_does_not_keep_the_other_waiting(
    given: Given, dead: str
) -> None:
    with two(given(epochs=10_000)) as (chief, worker):
        assert chief.stdout is not None
        chief.stdout.readline()
        killed, other = (chief, worker) if dead == "chief" else (worker, chief)
        killed.kill()
        out, err = other.communicate(timeout=600)
    assert other.returncode == DependencyError.exit_code, err[-3000:]
    assert "does not answer" in (err if dead == "chief" else out)


@pytest.mark.parametrize(
    "config",
    [
        "{",
        '{"cluster": 3}',
        '{"cluster": {}, "task": {"index": "x"}}',
        '{"cluster": {"worker": ["a:1", "b"]}}',
        '{"cluster": {"worker": "127.0.0.1:1"}}',
    ],
)
def test_a_cluster_that_cannot_be_read_is_said_so(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UsageError, match="TF_CONFIG cannot be read"):
        cluster.has_peers()


def test_one_machine_is_no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert not cluster.has_peers()
    alone = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(alone))
    assert not cluster.has_peers()


def test_a_worker_that_does_not_come_is_named(given, monkeypatch):
    gone = f"127.0.0.1:{free_port()}"
    config = {
        "cluster": {"chief": ["127.0.0.1:1"], "worker": [gone]},
        "task": {"type": "chief", "index": 0},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    monkeypatch.setattr(cluster, "COMING_SECONDS", 0.5)
    facts = json.loads(given().read_text())
    parts = {name: facts[name] for name in ("spec", "snapshot", "contract")}
    job = cluster.Job.model_validate({**parts, "builder": "mlp", "folder": ""})
    with pytest.raises(DependencyError, match=f"worker {gone} of TF_CONFIG does not"):
        cluster.lead(job)
