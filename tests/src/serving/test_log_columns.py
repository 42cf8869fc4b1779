"""Rows of the log: of what they are, and that they depend on their request alone."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest
from tests.src.serving.asked import (
    IMAGES,
    NOON_US,
    SOUNDS,
    TEXTS,
    an_answer,
    given,
)

from headrace.media import medium
from headrace.media.forms import Problem
from headrace.media.interface import digests
from headrace.records import DataDescription
from headrace.serving.log import rows_of
from headrace.state.requests import COLUMN, INPUT, SCHEMA

KINDS = [IMAGES, TEXTS, SOUNDS]
by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.medium)


def rows(*requests, with_inputs=False):
    return rows_of(requests, with_inputs=with_inputs)


@by_kind
def test_a_row_is_what_was_asked_and_answered(kind: DataDescription) -> None:
    answered = an_answer("r7", kind, time_us=NOON_US, role="try")
    (row,) = rows(answered).select(SCHEMA.names).to_pylist()
    assert row["request_id"] == "r7"
    assert (row["model"], row["version"], row["role"]) == ("digits", 2, "try")
    assert (row["row"], row["engine"], row["latency_ms"]) == (0, "onnx", 1.5)
    assert row["time"].timestamp() * 1e6 == NOON_US
    assert row["outputs"] == answered.outputs[0].tolist()
    if kind is SOUNDS:
        assert row["answer"] == str(float(answered.outputs[0, 0]))
    else:
        assert row["answer"] == kind.classes[answered.outputs[0].argmax()]


def test_tags_are_a_list_in_json_as_scores_have_them():
    target = {"tags": ["it's", "b", "c"]}
    kind = IMAGES.model_copy(update={"task": "tagging", "target": target})
    outputs = np.array([[0.9, 0.8, 0.1, 0.5, 0.5, 0.5]], np.float32)
    answered = an_answer(kind=kind, outputs=outputs)
    (answer,) = rows(answered)["answer"].to_pylist()
    assert json.loads(answer) == ["it's", "b"]


@by_kind
def test_the_item_is_the_digest_that_a_snapshot_has(kind: DataDescription) -> None:
    items = given(kind, 5)
    module = medium(kind.medium)
    if kind is TEXTS:
        decoded = module.decode_files([text.encode() for text in items], kind).items
        parts = [
            module.fit(item[np.newaxis], kind.shape).payload
            for item in decoded
            if not isinstance(item, Problem)
        ]
        stored = np.concatenate(parts)
    else:
        stored, _ = module.decode_array(items, kind, ["x[0]"] * 5, "here", None)
    digest = digests(stored, module)
    expected = [digest[i : i + 32].hex() for i in range(0, len(digest), 32)]
    assert rows(an_answer(kind=kind, items=items))["item"].to_pylist() == expected


def _transcribed(steps):
    """Two answers that are a matrix each, of steps and three probabilities."""
    target = {"tokens": ["one", "two"], "unit": "words"}
    kind = SOUNDS.model_copy(update={"task": "transcription", "target": target})
    outputs = np.zeros((2, steps, 3))
    outputs[:, 0, 1] = outputs[0, 2, 0] = outputs[:, 1, 2] = 1.0
    outputs[:, 3:, 2] = outputs[1, 2, 2] = 1.0
    return an_answer(kind=kind, count=2, outputs=outputs)


def test_an_answer_may_be_a_matrix():
    answered = _transcribed(20)
    table = rows(answered)
    assert table["answer"].to_pylist() == ["two one", "two"]
    flat = answered.outputs.reshape(2, -1).tolist()
    assert table["outputs"].to_pylist() == flat


def test_the_values_of_a_large_answer_are_not_logged():
    table = rows(_transcribed(400))
    assert table["answer"].to_pylist() == ["two one", "two"]
    assert table["outputs"].null_count == 2


def test_an_image_of_floats_is_the_same_item():
    items = given(IMAGES, 3)
    tables = [rows(an_answer(items=x)) for x in (items, items.astype(np.float32))]
    assert tables[0]["item"] == tables[1]["item"]
    assert tables[0]["column_mean"] == tables[1]["column_mean"]


def test_padding_is_not_part_of_a_sound():
    sound = given(SOUNDS)[0, :300]
    expected = np.rint(sound * 2**15).astype("<i2").tobytes()
    assert rows(an_answer(kind=SOUNDS, items=sound))["item"].to_pylist() == [
        hashlib.sha256(expected).hexdigest()
    ]


@by_kind
def test_a_row_does_not_depend_on_those_beside_it(kind: DataDescription) -> None:
    requests = [an_answer(f"r{i}", kind, seed=i, time_us=i) for i in range(40)]
    together = rows(*requests, with_inputs=True)
    alone = pa.concat_tables([rows(r, with_inputs=True) for r in requests])
    assert together.schema.equals(alone.schema)
    for field in together.schema:
        one, other = (table[field.name].to_pylist() for table in (together, alone))
        if field.type == pa.float64():  # sums of floats depend on their order
            other = pytest.approx(other, rel=1e-5)
        assert one == other, field.name
    reverse = rows(*requests[::-1], with_inputs=True)
    assert reverse.take(list(range(39, -1, -1))).to_pylist() == together.to_pylist()


def test_each_item_of_a_request_has_a_row():
    table = rows(an_answer("a", count=3), an_answer("b", count=1), an_answer("c"))
    assert table["request_id"].to_pylist() == ["a", "a", "a", "b", "c"]
    assert table["row"].to_pylist() == [0, 1, 2, 0, 0]


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        (IMAGES, {"mean", "std", "border", "nonzero", "blank"}),
        (TEXTS, {"characters", "words", "letters", "emails", "blank"}),
        (SOUNDS, {"seconds", "rms", "flatness", "silence", "blank"}),
    ],
    ids=["image", "text", "audio"],
)
def test_the_columns_are_numbers_of_one_item(kind, some):
    table = rows(an_answer(kind=kind))
    names = {n.removeprefix(COLUMN) for n in table.schema.names if n.startswith(COLUMN)}
    assert some <= names
    relative = {"length_excess", "foreign", "label_in_text", "mostly_noise", "inverted"}
    assert not names & {"fingerprint", "script", *relative}
    assert {table.schema.field(f"column_{n}").type for n in names} == {pa.float64()}


@by_kind
def test_inputs_are_only_there_where_they_were_asked_for(kind: DataDescription) -> None:
    request = an_answer(kind=kind)
    assert INPUT not in rows(request).schema.names
    table = rows(request, with_inputs=True)
    (data,) = table[INPUT].to_pylist()
    assert hashlib.sha256(data.rstrip(b"\0")).hexdigest() in {
        table["item"][0].as_py(),
        hashlib.sha256(data).hexdigest(),
    }
    module = medium(kind.medium)
    column = pa.array([data], pa.string() if kind is TEXTS else pa.binary(len(data)))
    stored = module.from_column(column, kind.shape)
    np.testing.assert_array_equal(module.as_stored(request.items, kind), stored)


def test_texts_are_masked_wherever_they_are_kept():
    text = "write to ada.lovelace@lab.org at nine"
    table = rows(an_answer(kind=TEXTS, items=[text]), with_inputs=True)
    (kept,) = table[INPUT].to_pylist()
    assert b"lovelace" not in kept
    assert kept.startswith(b"write to ")
    assert table["item"][0].as_py() == hashlib.sha256(kept).hexdigest()
    assert b"lovelace" not in repr(table.to_pylist()).encode()
