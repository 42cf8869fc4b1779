"""``headrace score`` as a user has it, and the flow for schedules."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.blobs import blobs, png

Home = Any
Answer = Any


def test_the_command_scores_a_batch(first, tmp_path):
    home, run = first
    source, output = home.project / "pipelines/blobs/blobs.npz", tmp_path / "out.csv"
    answer = home.headrace("score", "blobs", str(source), str(output), "--json")
    assert answer.exit_code == 0
    said = answer.json
    rows = pd.read_csv(output)
    assert list(said) == [
        "model",
        "version",
        "rows",
        "scored",
        "failed",
        "data_digest",
        "input",
        "output",
        "accuracy",
        "seconds",
    ]
    assert (said["model"], said["version"]) == ("blobs", run.json["version"])
    assert (said["rows"], said["scored"], said["failed"]) == (240, 240, 0)
    assert (said["input"], said["output"]) == (str(source), str(output))
    assert said["accuracy"] == (rows["label"] == rows["true_label"]).mean()
    assert set(rows["data_digest"]) == {said["data_digest"]}


def test_the_answer_for_people_is_two_lines(first, tmp_path):
    home, _ = first
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8), np.uint8))
    output = tmp_path / "out.parquet"
    answer = home.headrace("score", "blobs", str(tmp_path / "x.npy"), str(output))
    scored, written = answer.out.splitlines()
    assert scored.startswith(f"blobs version 1 scored 3 of 3 items of {tmp_path}/x.npy")
    assert written.startswith(f"{output}  (data digest ")
    assert "accuracy" not in answer.out


@pytest.mark.parametrize(
    ("model", "source", "output", "exit_code", "kind"),
    [
        ("nope", "x.npy", "out.csv", 2, "NotFoundError"),
        ("blobs", "nothing.npy", "out.csv", 2, "NotFoundError"),
        ("blobs", "x.npy", "nowhere/out.csv", 2, "UsageError"),
        ("blobs", "other.npy", "out.csv", 1, "SourceError"),
    ],
)
def test_a_mistake_has_its_exit_code(
    first, tmp_path, model, source, output, exit_code, kind
):
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8), np.uint8))
    np.save(tmp_path / "other.npy", np.zeros((3, 9, 9), np.uint8))
    places = (str(tmp_path / source), str(tmp_path / output))
    answer = first[0].headrace("score", model, *places, "--json")
    assert (answer.exit_code, answer.json["error"]["kind"]) == (exit_code, kind)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.npy", "x.npy"]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_flow_does_what_the_command_does(
    first, prefect_server, tmp_path, monkeypatch, workers
):
    from headrace_flows.score import score

    first[0].enter(monkeypatch)
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8), np.uint8))
    places = (str(tmp_path / "x.npy"), str(tmp_path / "out.parquet"))
    state = score("blobs", *places, workers, return_state=True)
    assert state.is_completed()
    assert state.message == "3 of 3 items by version 1"
    assert state.result().scored == 3
    assert len(pd.read_parquet(places[1])) == 3


def test_a_refused_flow_has_failed(first, prefect_server, tmp_path, monkeypatch):
    from headrace.errors import SourceError
    from headrace_flows.score import score

    first[0].enter(monkeypatch)
    np.save(tmp_path / "x.npy", np.zeros((3, 9, 9), np.uint8))
    places = (str(tmp_path / "x.npy"), str(tmp_path / "out.parquet"))
    state = score("blobs", *places, return_state=True)
    assert state.is_failed()
    with pytest.raises(SourceError, match=r"None of the 3 items"):
        state.result()
    assert not Path(places[1]).exists()


def test_a_score_in_parts_that_is_killed_goes_on(after_first, tmp_path):
    images, labels = blobs(40_000)
    table = {"image": [png(image) for image in images], "label": labels.astype(str)}
    source = tmp_path / "images.parquet"
    pq.write_table(pa.table(table), source)
    one, parts = tmp_path / "one.parquet", tmp_path / "parts.parquet"
    command = ("score", "blobs", str(source))
    expected = after_first.headrace(*command, str(one), "--json").json
    in_parts = (*command, str(parts), "--workers", "2", "--json")
    process = after_first.start(*in_parts)
    store = after_first.path / "store"
    limit = time.monotonic() + 600
    while len(list(store.glob("scores/*/*.arrow"))) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.kill()  # its helpers end with it
    process.communicate()
    assert not parts.exists()
    answer = after_first.headrace(*in_parts)
    assert answer.exit_code == 0, answer.err
    assert "parts were there from an earlier score" in answer.err
    same = {"output": None, "seconds": None}
    assert {**answer.json, **same} == {**expected, **same}
    assert parts.read_bytes() == one.read_bytes()
    assert list(store.glob("scores/*")) == []
