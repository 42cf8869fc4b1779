"""Foreign files in the folder of the request log delay, end and answer nothing."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc
from tests.src.serving.requests.some import NOON, ids_of, log_rows, stream

from headrace.errors import IntegrityError
from headrace.serving.requests import forgetting
from headrace.serving.requests.files import expire, root_of
from headrace.serving.requests.settling import settle_all
from headrace.settings import Settings

LATER = NOON + timedelta(hours=3)


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path, home=tmp_path / "home")


def is_one(items):
    return np.array([item.endswith("1") for item in items], bool)


def _hour(day, hour):
    (day / f"{hour}-x.arrows").write_bytes(b"x")


def _last_day(day):
    (day.parent / "9999-12-31").mkdir()
    _hour(day.parent / "9999-12-31", "23")


def _stream(day, table):
    with ipc.new_stream(day / "11-x.arrows", table.schema) as made:
        made.write_table(table)


OTHER = pa.table({"item": [1], "version": ["a"], "time": ["now"]})
OF_NO_LOG = {
    "folder": lambda day: (day / "11-x.arrows").mkdir(),
    "link to nothing": lambda day: (day / "11-x.arrows").symlink_to("nothing"),
    "link to itself": lambda day: (day / "11-x.parquet").symlink_to("11-x.parquet"),
    "hour of no day": lambda day: _hour(day, "24"),
    "hour of no calendar": lambda day: _hour(day, "9" * 20),
    "day whose end is no moment": _last_day,
}
DAMAGED = {
    "another table, a stream": lambda day: _stream(day, OTHER),
    "another table, Parquet": lambda day: pq.write_table(OTHER, day / "11-x.parquet"),
    "column of another type": lambda day: pq.write_table(
        log_rows([1]).drop(["item"]).append_column("item", [[1]]), day / "11-x.parquet"
    ),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("other", OF_NO_LOG)
def test_what_is_no_file_of_a_log_is_not_opened(settings, other):
    path = stream(settings, [1, 2])
    OF_NO_LOG[other](path.parent)
    assert expire(root_of(settings.home), 30, NOON.date()) == []
    assert ids_of(settings) == [1, 2]
    assert forgetting.count(settings, is_one) == {"digits": 1}
    assert settle_all(root_of(settings.home), LATER) == {}
    assert not path.exists()
    assert forgetting.take_out(settings, is_one) == {"digits": 1}
    assert ids_of(settings) == [2]


@pytest.mark.parametrize("other", DAMAGED)
def test_a_file_with_another_table_is_named(settings, other, caplog):
    path = stream(settings, [1, 2])
    DAMAGED[other](path.parent)
    assert ids_of(settings) == [1, 2]
    assert "it has no column" in caplog.text
    for work in (forgetting.count, forgetting.take_out):
        with pytest.raises(IntegrityError, match=r"11-x.* it has no column .* of "):
            work(settings, is_one)
    settle_all(root_of(settings.home), LATER)
    assert not path.exists()
