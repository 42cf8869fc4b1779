"""Test items that are in train in part, through ingestion and the contract."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.pipeline import PipelineSpec
from headrace.stages.ingestion import ingest
from headrace.stages.validation import validate
from headrace.state.store import Store

LINES = [
    f"{first}{second}三四五" for first in "春夏秋冬东西南北" for second in "天地玄黄"
]


def poem(*numbers):
    return "，".join(LINES[number] for number in numbers) + "。"


def a_spec(source, task="generation"):
    data = {"source": str(source), "quarantine_limit": 0.5}
    values = {"name": "poems", "medium": "text", "task": task, "data": data}
    return PipelineSpec.model_validate(values)


@pytest.fixture
def source(tmp_path):
    train = [poem(4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3) for n in range(5)]
    test = [poem(0, 1, 22, 23), poem(0, 24, 25, 26), poem(27, 28, 29, 30)]
    table = {
        "text": train + test,
        "label": ["a", "b"] * 4,
        "split": ["train"] * 5 + ["test"] * 3,
    }
    pq.write_table(pa.table(table), tmp_path / "poems.parquet")
    return tmp_path / "poems.parquet"


def test_half_of_a_document_in_train_sets_it_aside(source, settings):
    spec, store = a_spec(source), Store(settings.store)
    snapshot = ingest(spec.data, spec.medium, store, settings, spec.task)
    record = validate(spec, snapshot, store, settings)
    assert record.quarantined == 1
    assert record.rows["test"] == 2
    (finding,) = [one for one in record.findings if one.check == "partial_leak"]
    assert "half of it or more is in train, line by line" in finding.message
    assert "poems.parquet row 6" in finding.message


def test_other_tasks_do_not_ask(source, settings):
    spec, store = a_spec(source, "classification"), Store(settings.store)
    snapshot = ingest(spec.data, spec.medium, store, settings, spec.task)
    record = validate(spec, snapshot, store, settings)
    assert record.quarantined == 0
