"""A part of a source is a stream of its chunks."""

import numpy as np

from headrace.media.chunks import Chunk
from headrace.use.scoring.packing import packed, unpacked


def a_chunk():
    items = np.arange(12, dtype=np.uint8).reshape(3, 4)
    return Chunk(None, items, ["", "a", "b"], ["0", "1", "2"], unread=[1])


def test_a_part_has_the_chunks_that_were_packed():
    (data,) = packed([a_chunk(), a_chunk()])
    for chunk in unpacked(data):
        assert chunk.items.tolist() == a_chunk().items.tolist()
        assert (chunk.labels, chunk.names) == (["", "a", "b"], ["0", "1", "2"])
        assert chunk.unread == [1]


def test_equal_chunks_at_two_places_of_a_source_are_two_parts(monkeypatch):
    monkeypatch.setattr("headrace.use.scoring.packing.ROWS", 1)
    one, two = packed([a_chunk(), a_chunk()])
    assert one != two
