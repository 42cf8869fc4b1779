"""``headrace.run``: the train flow from Python, in a script or a notebook."""

import asyncio
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import headrace
from headrace.errors import DependencyError, NotFoundError, SpecError, UsageError
from headrace.pipeline.files import parse_override
from headrace.settings import Settings
from headrace.state.ledger.holding import hold
from headrace_flows.calling import _as_guest, _override

NOTEBOOK = """
import asyncio, json, os, warnings
warnings.simplefilter("error", RuntimeWarning)  # such as of what nobody awaited
import headrace

async def cell():
    before = {n: v for n, v in os.environ.items() if n.startswith("PREFECT_")}
    outcome = headrace.run("blobs", set={"training.seed": 2})
    again = headrace.run("blobs", set={"training.seed": 2}, progress=False)
    after = {n: v for n, v in os.environ.items() if n.startswith("PREFECT_")}
    after.pop("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW")
    print(json.dumps({
        "status": outcome.status, "model": outcome.model, "version": outcome.version,
        "metrics": outcome.metrics, "report": outcome.report, "shown": repr(outcome),
        "gates": [gate.name for gate in outcome.gates], "links": outcome.links,
        "loaded": outcome.load().version, "again": again.status,
        "champion": headrace.load_champion("blobs").version,
        "flow_run_id": outcome.flow_run_id, "is_put_back": before == after,
    }))

asyncio.run(cell())
"""


def settings_of(home):
    return Settings(project=home.project, home=home.path, user="ada@lab")


def test_a_run_beside_an_event_loop_as_in_a_notebook(after_first):
    """In a process of its own, with Prefect's temporary server."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_")
    }
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        env={**environment, **after_first.environment},
        cwd=after_first.project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["status"], outcome["model"]) == ("registered", "blobs")
    assert outcome["version"] == outcome["loaded"] == 2
    assert outcome["champion"] == 1
    assert outcome["metrics"]["test_accuracy"] >= 0.95
    assert "champion" in outcome["gates"]
    assert "<html" in Path(outcome["report"]).read_text(encoding="utf-8")
    assert set(outcome["links"]) == {"data_docs"}, "no page is served here"
    assert outcome["shown"].startswith("blobs version 2: registered in ")
    assert "gate champion failed: p(better)" in outcome["shown"]
    assert outcome["again"] == "unchanged"
    assert outcome["is_put_back"]
    assert "epoch 3/3" in done.stderr
    assert done.stderr.count("looking for what has changed") == 1
    assert "never awaited" not in done.stderr


def test_what_prefect_has_not_sent_is_sent_beside_an_event_loop(prefect_server):
    from headrace_ops import prefect_inside

    async def cell():
        prefect_inside.drain()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(cell())
    assert not [one for one in caught if "never awaited" in str(one.message)]


def test_a_refused_run_is_returned_and_its_model_can_be_loaded(
    after_first, prefect_server, tmp_path
):
    home = after_first.with_law(
        tmp_path / "project", gates="[{ name = 'accuracy', threshold = 1.1 }]"
    )
    outcome = headrace.run("blobs", settings=settings_of(home))
    assert (outcome.status, outcome.version) == ("refused", 1)
    assert "at least 1.1 is needed" in outcome.reason
    assert "gate accuracy failed" in str(outcome)
    assert outcome.load().version == 1


def test_data_that_breaks_its_contract_is_refused_without_a_model(
    after_first, prefect_server, tmp_path
):
    source = tmp_path / "blobs.npz"
    source.write_bytes(b"PK\x03\x04 no archive")
    outcome = headrace.run("blobs", data=source, settings=settings_of(after_first))
    assert (outcome.status, outcome.version, outcome.report) == ("refused", None, None)
    assert outcome.overrides == ()
    with pytest.raises(UsageError, match="has registered no model"):
        outcome.load()


def test_what_cannot_be_done_is_raised(after_first, prefect_server, tmp_path):
    settings = settings_of(after_first)
    with pytest.raises(NotFoundError, match=r"no pipeline 'blob'.*you mean blobs\?"):
        headrace.run("blob", settings=settings)
    with pytest.raises(SpecError, match=r"training.epoch .*you mean training.epochs\?"):
        headrace.run("blobs", set={"training.epoch": 3}, settings=settings)
    with pytest.raises(NotFoundError, match="no data at"):
        headrace.run("blobs", data=tmp_path / "none.npz", settings=settings)


def test_an_error_within_the_flow_is_raised_as_itself(after_first, prefect_server):
    settings = settings_of(after_first)
    changes = {"training.seed": 2, "deploy.when_busy": "refuse"}
    other = settings.model_copy(update={"user": "bob@lab"})
    with hold(other, "blobs", "another flow run"):
        with pytest.raises(DependencyError, match="blobs is busy: bob@lab"):
            headrace.run("blobs", set=changes, settings=settings)


def test_a_process_does_one_run_at_a_time(after_first):
    with _as_guest(shows_progress=False):
        with pytest.raises(UsageError, match="at another run already"):
            headrace.run("blobs", settings=settings_of(after_first))


def test_a_pipeline_is_named_or_given_by_its_folder(after_first, prefect_server):
    folder = after_first.project / "pipelines" / "blobs"
    outcome = headrace.run(folder, settings=settings_of(after_first))
    assert outcome.status == "unchanged"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (3, 3),
        (True, True),
        (1e-5, 1e-5),
        ("3", "3"),
        ('a "quoted"\nline \x7f 词', 'a "quoted"\nline \x7f 词'),
        ((64, 64), [64, 64]),
        (np.float64(0.25), 0.25),
        (np.array([1, 2]), [1, 2]),
        (Path("a/b"), "a/b"),
        ([{"name": "accuracy", "threshold": 0.5}],) * 2,
        ({"a b": {"c": []}},) * 2,
    ],
)
def test_python_values_are_read_as_they_are(value, read):
    keys, given = parse_override(_override("training.some", value))
    assert keys == ["training", "some"]
    assert given == read
    assert type(given) is type(read)


@pytest.mark.parametrize("value", [None, {1}, b"x", [None]])
def test_a_value_that_no_file_can_have_is_refused(value):
    with pytest.raises(UsageError, match=r"training.epochs in set is .*Give a text"):
        _override("training.epochs", value)


@pytest.mark.parametrize("key", [3, "training.epochs=3"])
def test_a_key_that_names_no_field_is_refused(key):
    with pytest.raises(UsageError, match="is not the name of a field"):
        _override(key, 3)
