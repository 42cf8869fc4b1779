"""``headrace reproduce`` as a user has it."""

import logging
import shutil
from pathlib import Path
from typing import Any

import headrace

Home = Any
Answer = Any


def test_the_champion_is_reproduced(first, after_first, monkeypatch):
    ran = first[1].json
    # A flow before this may have set up the log.
    monkeypatch.setattr(logging.getLogger("headrace"), "handlers", [])
    answer = after_first.headrace("reproduce", "blobs@champion", "--json")
    assert answer.exit_code == 0, answer.err
    found = answer.json
    assert set(found) == {
        "run_id",
        "pipeline",
        "status",
        "reason",
        "weights_digest",
        "differences",
        "metrics",
        "seconds",
    }
    assert (found["status"], found["pipeline"]) == ("same", "blobs")
    assert found["run_id"] == ran["run_id"]
    assert set(found["weights_digest"].values()) == {ran["weights_digest"]}
    assert found["differences"] == []
    assert "epoch 3/3  loss" in answer.err
    again = after_first.headrace("reproduce", "blobs/1")
    assert again.exit_code == 0
    assert f"blobs run {ran['run_id'][:12]}: same weights in" in again.out
    assert f"recorded    {ran['weights_digest']}" in again.out


def test_weights_that_other_code_gives_are_told_with_that_code(
    first, after_first, tmp_path
):
    copy = tmp_path / "other" / "headrace"
    shutil.copytree(Path(headrace.__file__).parent, copy)
    recipe = copy / "stages" / "fitting" / "recipe.py"
    code = recipe.read_text()
    assert '"momentum": spec.momentum,' in code
    recipe.write_text(code.replace(": spec.momentum,", ": spec.momentum / 2,"))
    run_id = first[1].json["run_id"]
    process = after_first.start(
        "reproduce", run_id[:12], PYTHONPATH=str(copy.parent), COLUMNS="200"
    )
    out, err = process.communicate(timeout=600)
    assert process.returncode == 1, err
    assert f"blobs run {run_id[:12]}: different weights" in out
    assert (
        "the weights differ; what else differs: code headrace.stages.fitting.recipe"
        in out
    )
    assert "reproduced  " in out


def test_a_run_that_is_not_there_is_one_object_and_exit_2(after_first):
    answer = after_first.headrace("reproduce", "abc", "--json")
    assert answer.exit_code == 2
    assert answer.json["status"] == "error"
    assert answer.json["error"]["kind"] == "NotFoundError"


def test_a_record_that_was_changed_is_refused(first, after_first):
    run_id = first[1].json["run_id"]
    (spec,) = after_first.path.glob(f"mlartifacts/*/{run_id}/artifacts/pipeline/spec.*")
    spec.write_text(spec.read_text().replace('"seed": 1', '"seed": 2'))
    answer = after_first.headrace("reproduce", run_id, "--json")
    assert answer.exit_code == 1
    assert answer.json["error"]["kind"] == "IntegrityError"
    assert "pipeline/spec.json of the run" in answer.json["reason"]
