"""A chunk comes back from its file as it was."""

from headrace.media.chunks import Chunk
from headrace.stages.ingestion.chunks import raws, rows_of, spill


def test_a_chunk_keeps_what_could_not_be_read(tmp_path):
    items, names = [b"a", b"", b"c"], ["t[0]", "t[1]", "t[2]"]
    chunk = Chunk("train", items, ["x"] * 3, names, groups=["g"] * 3, unread=[1])
    (raw,) = raws([chunk], tmp_path)
    assert rows_of(raw) is chunk
    spilled = spill(raw)
    assert spilled.path.exists()
    assert spilled.chunk.items == []
    assert rows_of(spilled) == chunk
    assert list(chunk.take([1, 2]).unread) == [0]
