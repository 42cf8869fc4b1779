"""Which workers take part in a search, and which are refused."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.planning import Plan
from headrace.records import MANIFEST
from headrace.spec.files import override
from headrace.use.tuning.space import parse_search
from headrace_flows import tuning as module
from headrace_flows.run import Run
from headrace_flows.tuning import Tuning

RATE = "training.learning_rate=log(0.01,0.2)"


@pytest.fixture
def source(trained, tmp_path):
    """A source that no other test has."""
    return Path(shutil.copy(trained.spec.data.source, tmp_path / "own.npz"))


@pytest.fixture
def body(trained, source, monkeypatch):
    """Of the first trial of a search that is under way, as its workers are given it."""
    spec = override(trained.spec, (f"data.source={str(source)!r}",))
    plan = Plan(spec, trained.folder, trained.home)
    key = f"snapshots/{trained.snapshot.digest}/{MANIFEST}"
    sha256 = hashlib.sha256(plan.home.store.read(key)).hexdigest()
    plan.home.ledger.anchor({key: sha256})
    plan.save(plan.ingest(), trained.snapshot, 0.0)
    plan.save(plan.validate(trained.snapshot), trained.contract, 0.0)
    run = Run(spec, trained.folder, trained.settings)
    tuning = Tuning(run, parse_search([RATE])[1], "val_loss", 1)
    tuning.open_study(trained.snapshot, trained.contract).keep(run_id="r1")
    tuning._place = object()
    given = []
    monkeypatch.setattr(
        "headrace_flows.spreading.spread",
        lambda place, pieces: given.extend(piece.body for piece in pieces) or pieces,
    )
    assert list(tuning.spread([1])) == [1]
    return given[0]


def test_a_worker_does_not_look_at_the_source(body, source, trained):
    os.utime(source)
    assert module._open(body, trained.settings).study.name == body["study"]
    source.unlink()
    assert module._open(body, trained.settings).study.name == body["study"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"snapshot": "0" * 64}, "its store has no snapshot 000000000000"),
        ({"study": "0" * 64}, "its code or its libraries are others"),
    ],
)
def test_a_worker_of_another_store_or_with_other_code_is_told_which(
    body, trained, changes, told
):
    with pytest.raises(UsageError, match=told):
        module._open({**body, **changes}, trained.settings)


@pytest.fixture
def tuning(trained):
    """A search of two trials that asks for a thousand at once."""
    run = Run(trained.spec, trained.folder, trained.settings)
    tuning = Tuning(run, parse_search([RATE])[1], "val_loss", 2)
    tuning.workers, tuning.wave = 1000, 100_000
    return tuning


def test_there_are_no_more_processes_than_trials_and_processors(
    tuning, monkeypatch, caplog
):
    caplog.set_level("INFO", "headrace")
    for count, told in ((1, "1 trial"), (2, "2 trials"), (64, "2 trials")):
        monkeypatch.setattr("headrace_flows.spreading.processors", lambda n=count: n)
        with tuning.opened():
            assert tuning.spread is not None
        here = "at once in processes of this machine, the most that can be"
        assert caplog.messages[-1] == f"tune: {told} {here}"


def test_a_search_that_fails_leaves_no_place_for_the_next(tuning):
    for _ in range(2):
        with pytest.raises(KeyError):
            with tuning.opened():
                raise KeyError
        assert tuning.spread is None
