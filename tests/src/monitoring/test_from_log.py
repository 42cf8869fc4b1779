"""Windows of the request log."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.blobs import blobs

from headrace.media import item_columns
from headrace.monitoring import from_log
from headrace.monitoring.from_log import batch_from_log, labelled_from_log
from headrace.monitoring.late_labels import LateLabels
from headrace.state.home import Home

START = datetime(2026, 3, 1, 10, 59, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def images(rows, seed=5):
    return blobs(rows, seed)[0]


def window(version, settings, rows=1000, **more):
    return batch_from_log(version, version.description, rows, settings, **more)


def test_the_newest_rows_are_taken_over_several_hours(requests, version, watched):
    old = requests.write(images(30, 1), START - 5 * HOUR)
    new = requests.write(images(20, 2), START)
    batch = window(version, watched, rows=25)
    assert batch.ids["request_id"].tolist() == [*old[-5:], *new]
    assert batch.outputs.shape == (25, 3)
    assert (batch.first, batch.last) == (
        START - 5 * HOUR + timedelta(seconds=25),
        START + timedelta(seconds=19),
    )
    expected = item_columns(images(20, 2)[..., np.newaxis], version.description)
    assert set(batch.columns) == set(expected)
    assert np.allclose(batch.columns["mean"][-20:], expected["mean"])


def test_an_item_that_is_asked_all_the_time_hides_no_others(requests, version, watched):
    old = requests.write(images(10, 1), START - 5 * HOUR)
    probes = np.repeat(images(1, 2), 50, axis=0)
    asked = requests.write(images(10, 3), START - 2 * HOUR)
    for hours in (2, 1, 0):
        last = requests.write(probes, START - hours * HOUR + timedelta(minutes=5))
    batch = window(version, watched, rows=15)
    assert batch.ids["request_id"].tolist() == [*old[-4:], *asked, last[-1]]
    assert batch.repeats == 149


@pytest.mark.parametrize("least", [0, 10_000])
def test_repeated_items_before_the_window_are_none_of_it(
    requests, version, watched, monkeypatch, least
):
    monkeypatch.setattr(from_log, "_LEAST_HELD", least)
    probes = np.repeat(images(1, 2), 100, axis=0)
    requests.write(probes, START.replace(minute=0))
    asked = requests.write(images(10, 3), START.replace(minute=40))
    requests.write(images(10, 3)[:5], START.replace(minute=20))
    batch = window(version, watched, rows=10)
    assert batch.ids["request_id"].tolist() == asked
    assert batch.repeats == 0
    assert window(version, watched, rows=12).repeats == 104


def test_what_is_tried_by_hand_does_not_count(requests, version, watched):
    tried = requests.write(images(10, 1), START, role="try")
    asked = requests.write(images(4, 2), START)
    assert window(version, watched).ids["request_id"].tolist() == asked
    late = LateLabels("labels.csv", "request_id", dict.fromkeys([*tried, *asked], "1"))
    labelled = labelled_from_log(version, version.description, late, watched)
    assert labelled.ids["request_id"].tolist() == asked


def test_rows_before_a_time_are_left_out(requests, version, watched):
    requests.write(images(30), START - 5 * HOUR)
    new = requests.write(images(10, 2), START)
    late = window(version, watched, since=START + timedelta(seconds=4))
    assert late.ids["request_id"].tolist() == new[4:]
    assert len(window(version, watched, since=START + HOUR)) == 0


def test_rows_of_other_versions_are_left_out(requests, version, watched):
    requests.write(images(10), START, version=7, outputs=np.full((10, 3), 0.1))
    own = requests.write(images(4), START, role="pinned")
    assert window(version, watched).ids["request_id"].tolist() == own


def test_a_busy_hour_is_read_in_bounded_memory(requests, version, watched, monkeypatch):
    monkeypatch.setattr(from_log, "_LEAST_HELD", 0)
    outputs = np.full((40, 3), 0.1)
    for part in (3, 0, 2, 1):  # files of an hour are in no order
        start = START.replace(minute=10 * part)
        ids = [f"{part}-{n}" for n in range(40)]
        requests.write(images(40, part), start, outputs=outputs, ids=ids)
    batch = window(version, watched, rows=50)
    expected = [*(f"2-{n}" for n in range(30, 40)), *(f"3-{n}" for n in range(40))]
    assert batch.ids["request_id"].tolist() == expected


def test_inputs_are_at_hand_where_they_were_logged(requests, version, watched):
    requests.write(images(6), START, inputs=True)
    batch = window(version, watched)
    assert np.array_equal(batch.inputs, images(6)[..., np.newaxis])
    requests.write(images(6, 9), START + HOUR)
    assert window(version, watched).inputs is None


def test_all_labelled_requests_of_a_version_are_found_by_time(
    requests, version, watched
):
    old = requests.write(images(10, 1), START - 9 * HOUR)
    new = requests.write(images(10, 2), START)
    labels = {old[3]: "1", new[0]: "2", "other": "0"}
    late = LateLabels("labels.csv", "request_id", labels)
    data = version.description
    batch = labelled_from_log(version, data, late, watched)
    assert batch.ids["request_id"].tolist() == [old[3], new[0]]
    assert batch.labels.tolist() == ["1", "2"]
    items = LateLabels("labels.csv", "item", {batch.items[1]: "2"})
    assert labelled_from_log(version, data, items, watched).labels.tolist() == ["2"]


def test_answers_that_are_too_large_for_the_log_are_left_out_and_noted(
    requests, version, watched
):
    whole = requests.write(images(4), START)
    requests.write(images(3, 2), START + HOUR, are_logged=False)
    batch = window(version, watched)
    assert batch.ids["request_id"].tolist() == whole
    assert batch.notes[0].startswith("3 answers have too many values")
    none = window(version, watched, since=START + HOUR)
    assert (len(none), none.notes) == (0, batch.notes)


def test_without_a_log_the_window_is_empty(version, watched):
    batch = window(version, watched)
    assert (len(batch), batch.first, batch.source) == (0, None, "log")


def test_a_damaged_file_is_noted_once_and_left_out(requests, version, watched, caplog):
    ids = requests.write(images(5), START)
    torn = f"requests/blobs/{START:%Y-%m-%d/%H}/torn.parquet"
    Home(watched).store.write(torn, b"PAR1 and no more")
    late = LateLabels("labels.csv", "request_id", dict.fromkeys(ids, "1"))
    batch = window(version, watched)
    for one in (batch, labelled_from_log(version, version.description, late, watched)):
        (note,) = one.notes
        assert "torn.parquet cannot be read" in note
    assert caplog.text == ""
