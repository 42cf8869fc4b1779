"""Parts come from the store: what is in them is believed only where it fits."""

import json

import numpy as np
import pyarrow as pa
import pytest

from headrace.errors import IntegrityError
from headrace.media.chunks import Chunk
from headrace.use.scoring.packing import as_stream, of_stream, packed, unpacked

PLACE = "store/scores/a/read/b.arrow"
TEXTS = ["label", "name", "group"]


def a_chunk():
    items = np.arange(12, dtype=np.uint8).reshape(3, 4)
    return Chunk(None, items, ["", "a", "b"], ["0", "1", "2"], unread=[1])


def rows(**other):
    columns = {name: pa.array(["a", "b"]) for name in TEXTS}
    columns["item"] = pa.array([b"1234", b"5678"], pa.binary(4))
    return pa.record_batch({**columns, **other})


def facts(form=("|u1", 4), **other):
    return {"form": form, "chunk": {**{n: [] for n in CHUNK}, "split": None, **other}}


CHUNK = ("items", "labels", "names")


def test_a_part_has_the_chunks_that_were_packed():
    (data,) = packed([a_chunk(), a_chunk()])
    for chunk in unpacked(data, PLACE):
        assert chunk.items.tolist() == a_chunk().items.tolist()
        assert (chunk.labels, chunk.names) == (["", "a", "b"], ["0", "1", "2"])
        assert chunk.unread == [1]


def far_offsets():
    """Two texts of which the first ends far behind their bytes."""
    ends = pa.py_buffer(np.array([0, 2**30, 2], np.int32))
    return pa.StringArray.from_buffers(2, ends, pa.py_buffer(b"ab"))


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ({"name": far_offsets()}, "offset"),
        ({"name": pa.array(["a", None])}, "lack values"),
        ({"item": pa.array([1, 2])}, "others"),
        ({"item": pa.array(["a", "b"])}, "others"),
        ({"item": pa.array([b"12345678"] * 2, pa.binary(8))}, "others"),
    ],
)
def test_rows_of_another_form_are_refused(column, why):
    data = as_stream([(rows(**column), facts())])
    with pytest.raises(IntegrityError, match=why) as refused:
        list(unpacked(data, PLACE))
    assert PLACE in refused.value.message


@pytest.mark.parametrize(
    "told",
    [
        [],
        {"form": []},
        facts(form=("O", 4)),
        facts(form=("no type", 4)),
        facts(form=("|u1", -1)),
        facts(form=5),
        facts(other=1),
    ],
)
def test_what_is_said_of_rows_in_another_form_is_refused(told):
    data = as_stream([(rows(), told)])
    with pytest.raises(IntegrityError, match="is not what a score has written"):
        list(unpacked(data, PLACE))


def test_another_file_is_refused():
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows().schema) as writer:
        writer.write_batch(rows())
    untold = sink.getvalue().to_pybytes()
    (whole,) = packed([a_chunk()])
    for data in (b"", b"PK", json.dumps({}).encode(), whole[:-200], untold):
        with pytest.raises(IntegrityError, match="is not what a score has written"):
            list(of_stream(data, PLACE))


def test_an_error_of_who_reads_a_part_stays_what_it_is():
    (data,) = packed([a_chunk()])
    with pytest.raises(ValueError, match="mine"):
        for _ in unpacked(data, PLACE):
            raise ValueError("mine")
