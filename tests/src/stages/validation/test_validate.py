"""A small snapshot is judged as a whole, in however many shards it lies."""

import shutil

import pyarrow.parquet as pq
import pytest
from tests.src.stages.validation.conftest import Data, expectation

from headrace.data.snapshots import writing
from headrace.errors import ContractError
from headrace.media.forms import Rejected
from headrace.records import ContractRecord
from headrace.stages import pieces


def test_clean_data_passes_every_check_without_a_finding(check):
    record = check(Data())

    assert record.rows == {"train": 60, "val": 8, "test": 32}
    assert record.quarantined == 0
    assert record.quarantine_uri == ""
    assert record.findings == ()
    assert all(result.passed for result in record.results)
    seen = {(r.expectation, r.column, r.observed) for r in record.results}
    assert ("expect_table_row_count_to_be_between", "", "test: 32") in seen
    assert ("expect_column_values_to_be_in_set", "blank", "0 of 100 rows") in seen
    assert ContractRecord.model_validate_json(record.model_dump_json()) == record


def test_many_shards_give_the_verdict_of_one(check, tmp_path, monkeypatch):
    data = Data(rejected=[Rejected("ab", "train", "cat", "broken.png", "decode", "x")])
    data.pixels[[2, 4, 70]] = data.pixels[0]
    data.pixels[[8, 90]] = 7
    data.label[5] = "cow"
    rule = expectation("column_values_to_be_between", column="mean", max_value=150)
    limits = {"quarantine_limit": 0.5, "leak_limit": 0.5}
    one = check(data, rule, **limits)
    shutil.rmtree(tmp_path / "snapshots")
    monkeypatch.setattr(writing, "BYTES_PER_SHARD", 200)
    monkeypatch.setattr(pieces, "HERE_SECONDS", 60)

    many = check(data, rule, **limits)

    assert one.quarantined > 8
    (folder,) = (tmp_path / "snapshots").iterdir()
    assert len(list((folder / "items").iterdir())) == 8
    assert pq.read_table(many.quarantine_uri) == pq.read_table(one.quarantine_uri)
    place = {"quarantine_uri": ""}
    assert many.model_copy(update=place) == one.model_copy(update=place)


def test_nothing_is_left_of_the_work(check, tmp_path):
    data = Data()
    check(data)
    data.pixels[:50] = 0
    with pytest.raises(ContractError):
        check(data)

    assert [path.suffix for path in (tmp_path / "quarantine").iterdir()] == [".parquet"]
