"""A window from its rows to the report."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.blobs import blobs
from tests.homes import rows_of

from headrace.errors import InputError, NotFoundError
from headrace.monitoring import MonitorOptions, WindowData, watch_window
from headrace.state.ledger import Ledger

pytestmark = pytest.mark.system

START = datetime(2026, 3, 1, 10, tzinfo=UTC)


def lowered(images):
    """Three pixels down, where a third of the answers is wrong."""
    return np.concatenate([*[images[:, :1]] * 3, images[:, :-3]], axis=1)


def darker(images):
    return (images * 0.9).astype(np.uint8)


@pytest.fixture
def watch(watched):
    def watch(path=None, **options):
        data = WindowData(str(path)) if path else None
        return watch_window(MonitorOptions("blobs", data, **options), watched)

    return watch


def test_a_window_like_the_reference_is_ok(watch, write_window, watched):
    record = watch(write_window("plain", 150))
    assert (record.status, record.event, record.rows) == ("ok", False, 150)
    assert record.drifted == ()
    assert {shift.column for shift in record.inputs} >= {"mean", "std"}
    assert record.labelled.labels == record.labelled.new == 150
    assert record.labelled.bound == 0.9
    assert not record.labelled.lost

    page = Path(record.links["report"]).read_text()
    assert "<title>blobs, version 1: ok</title>" in page
    assert page.count("<img") > 8  # histograms and samples
    answer = json.loads(
        (Path(record.links["report"]).parent / "monitor.json").read_text()
    )
    assert answer["status"] == "ok"
    query = f"SELECT key, value FROM metrics WHERE run_uuid = '{record.run_id}'"
    metrics = dict(rows_of(watched.home / "mlflow.db", query))
    assert metrics["rows"] == 150
    assert metrics["labelled_accuracy"] == record.labelled.score
    tags = dict(
        rows_of(
            watched.home / "mlflow.db",
            f"SELECT key, value FROM tags WHERE run_uuid = '{record.run_id}'",
        )
    )
    assert (tags["monitor"], tags["mlflow.headrace.monitor"]) == ("ok", "monitor.html")


def test_lost_performance_is_shown_by_labels(watch, write_window):
    first = watch(write_window("wrong", 150, wrong=60))
    assert (first.status, first.event) == ("degraded", True)
    assert "break" in first.reason
    assert first.labelled.lost

    # What was shown stays so, by the labels of all windows together.
    later = watch(write_window("right", 150, seed=8))
    assert later.labelled.labels == 300
    assert later.status == "degraded"
    anew = watch(write_window("right", 150, seed=8), labels_anew=True)
    assert (anew.status, anew.labelled.labels, anew.labelled.new) == ("ok", 150, 150)


def test_the_loss_of_a_former_champion_is_no_event(watched, write_window):
    ledger = Ledger(watched.database_url)
    first = ledger.version("blobs", 1)
    ledger.add_version(first.model_copy(update={"version": 2, "training": "another"}))
    sequence = ledger.sequence("blobs")
    how = {"who": "ada", "why": "a test", "expected_sequence": sequence}
    ledger.promote("blobs", 2, forced=True, **how)
    data = WindowData(str(write_window("wrong", 150, wrong=60)))
    record = watch_window(MonitorOptions("blobs/1", data), watched)
    assert (record.status, record.event) == ("degraded", False)


def test_drifted_answers_are_an_event_in_the_second_window(watch, tmp_path):
    def window(name, seed):
        path = tmp_path / f"{name}.npy"
        np.save(path, lowered(blobs(150, seed)[0]))
        return path

    records = [watch(window(*one)) for one in (("a", 1), ("a", 1), ("b", 2))]
    assert {record.status for record in records} == {"drift"}
    assert [record.event for record in records] == [False, False, True]
    assert not records[0].estimate.valid
    assert "2 of the last 2 windows" in records[2].reason


def test_a_window_of_its_own_data_has_too_few_items(watch, project):
    record = watch(project / "pipelines" / "blobs" / "blobs.npz")
    assert (record.status, record.rows, record.event) == ("too few", 0, False)
    assert record.window.own == 240
    assert "240 others are known to the version" in record.reason
    assert record.inputs == record.answers == ()
    assert not record.estimate.valid


def test_a_log_is_judged_with_late_labels(watch, requests, tmp_path):
    assert watch().status == "too few"
    images, truth = blobs(160, 12)
    early = requests.write(images[:80], START)
    late = requests.write(images[80:], START + timedelta(hours=5))
    requests.write(images[:40], START + timedelta(hours=6))  # repeated
    labels = tmp_path / "labels.csv"
    frame = pd.DataFrame({"request_id": [*early, *late], "label": truth})
    frame.loc[:79, "label"] = (frame.loc[:79, "label"] + 1) % 3
    frame.to_csv(labels, index=False)

    record = watch(labels=str(labels), rows=120)
    assert record.window.source == "log"
    assert (record.window.rows, record.window.items) == (120, 120)
    assert record.window.first == (START + timedelta(hours=5)).isoformat()
    assert record.labelled.labels == 160  # also those before the window
    assert record.status == "degraded"
    everything = watch(rows=1000)
    assert (everything.window.items, everything.window.repeats) == (160, 40)

    frame.assign(label=[f"{label}.0" for label in frame["label"]]).to_csv(labels)
    assert watch(labels=str(labels)).labelled.labels == 160  # of a column with gaps

    frame.assign(request_id="x").to_csv(labels, index=False)
    record = watch(labels=str(labels))
    note = (
        r"None of the 1 labels .* request_id of an item that blobs version 1 answered"
    )
    assert re.search(note, " ".join(record.notes))
    assert record.labelled.labels == 160


def test_labels_that_are_not_there_yet_are_noted_on_a_schedule(
    watch, requests, tmp_path
):
    requests.write(blobs(60, 12)[0], START)
    labels = tmp_path / "labels.csv"
    with pytest.raises(NotFoundError, match=r"labels\.csv"):
        watch(labels=str(labels))
    record = watch(labels=str(labels), labels_may_come=True)
    assert record.window.items == 60
    assert record.labelled is None
    assert f"There are no labels at {labels} yet." in record.notes
    labels.write_text("request_id,label\n")
    assert "None of the 0 labels" in " ".join(watch(labels=str(labels)).notes)


def test_labels_of_none_of_the_data_are_refused(watch, write_window, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("name,label\nnobody,1\n")
    with pytest.raises(
        InputError, match=r"None of the 1 labels .* the name of an item"
    ):
        watch(write_window("plain", 60), labels=str(labels))


def test_labels_of_known_items_are_left_out_and_noted(
    watch, requests, project, tmp_path
):
    known = np.load(project / "pipelines" / "blobs" / "blobs.npz")
    images, truth = blobs(60, 12)
    ids = requests.write(np.concatenate([images, known["x_test"][:2]]), START)
    labels = tmp_path / "labels.csv"
    right = [*truth, *known["y_test"][:2]]
    pd.DataFrame({"request_id": ids, "label": right}).to_csv(labels, index=False)
    record = watch(labels=str(labels))
    assert (record.labelled.labels, record.window.own) == (60, 2)
    assert record.notes == (
        "items whose labels are left out, as they are in the data that the version was "
        "trained or evaluated on: 2",
    )
    assert watch().notes == ()


def test_labels_that_are_no_classes_are_refused(watch, write_window, tmp_path):
    path, labels = write_window("plain", 60), tmp_path / "labels.csv"
    names = [f"x_test[{n}]" for n in range(60)]
    pd.DataFrame({"name": names, "label": "cat"}).to_csv(labels, index=False)
    with pytest.raises(
        InputError, match=r"None of the 60 labels .* 'cat'; it has classes"
    ):
        watch(path, labels=str(labels))


def test_drift_alone_warns(watch, write_window):
    record = watch(write_window("dark", 200, shift=darker))
    assert "mean" in {shift.column for shift in record.drifted}
    assert (record.status, record.event) == ("warning", False)
