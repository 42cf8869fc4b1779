"""Every row of a source is decoded or rejected, and keeps its place."""

import hashlib
import io
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
import soundfile
from PIL import Image

from headrace.data import decoding
from headrace.data.decoding import (
    FILES_AT_ONCE,
    decode,
    decode_chunk,
    fit,
    none_usable,
)
from headrace.data.sources.opening import open_source
from headrace.media import chunks, medium
from headrace.media.chunks import ITEM_BYTES, Chunk, Reading
from headrace.media.forms import Rejected
from headrace.media.interface import digests
from headrace.records import Form
from headrace.settings import Settings

SHAPE = (2, 3, 1)
GREY = np.arange(6, dtype=np.uint8).reshape(2, 3)
RED = np.full((2, 3, 3), (255, 0, 0), np.uint8)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def parts_of(place, *, labelled=False):
    with open_source(str(place), Settings(), Reading(labelled=labelled)) as source:
        return list(decode(source, medium("image"), Form(shape=SHAPE)))


def test_files_keep_their_rows_whatever_becomes_of_them(tmp_path):
    for name, data in (
        ("a", png(GREY)),
        ("b", b"x"),
        ("c", png(RED)),
        ("d", png(GREY)),
    ):
        (tmp_path / name).write_bytes(data)
    (part,) = parts_of(tmp_path)
    grey, red = part.blocks
    assert part.count == 4
    assert (grey.rows, grey.names) == ([0, 3], ["a", "d"])
    assert grey.payload.tolist() == [GREY[..., None].tolist()] * 2
    assert (red.rows, red.names, red.payload.shape) == ([2], ["c"], (1, 2, 3, 3))
    sha = hashlib.sha256(b"x").hexdigest()
    reason = "not one of PNG, JPEG, BMP, GIF, WEBP, TIFF: begins with 'x'"
    assert part.rejected == {1: Rejected(sha, "", "", "b", "decode", reason)}


def test_what_does_not_fit_keeps_its_row(tmp_path):
    (tmp_path / "0").mkdir()
    for name, data in (("a", png(RED)), ("b", png(GREY))):
        (tmp_path / "0" / name).write_bytes(data)
    (part,) = parts_of(tmp_path, labelled=True)
    red, grey = (fit(block, medium("image"), SHAPE) for block in part.blocks)
    assert (red[0].names, red[0].payload.shape) == ([], (0, *SHAPE))
    sha = hashlib.sha256(RED.tobytes()).hexdigest()
    reason = "a coloured image; 1 channel is the form"
    assert red[1] == {0: Rejected(sha, "", "0", "0/a", "channels", reason)}
    assert (grey[0].rows, grey[0].labels, grey[1]) == ([1], ["0"], {})


def test_files_are_decoded_some_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "SMALL_ITEM", 0)
    for row in range(FILES_AT_ONCE + 10):
        (tmp_path / f"{row:04}.png").write_bytes(png(GREY))
    first, second, last = parts_of(tmp_path)
    assert (first.count, second.count, last.count) == (8, FILES_AT_ONCE, 2)
    assert (last.blocks[0].rows, last.blocks[0].names[0]) == ([0, 1], "0264.png")
    monkeypatch.setattr(decoding, "PART_BYTES", 60 * GREY.nbytes)
    assert [part.count for part in parts_of(tmp_path)] == [8, 60, 60, 60, 60, 18]


def test_rows_that_could_not_be_read_are_not_called_empty(monkeypatch):
    monkeypatch.setattr(decoding, "_FILES_AT_FIRST", 2)
    items = [b"hi", b"", b"", b"ho"]
    chunk = Chunk(None, items, [""] * 4, list("abcd"), unread=[2])
    parts = list(
        decode_chunk(chunk, medium("text"), Form(shape=(4,)), "here", ITEM_BYTES)
    )
    reasons = {r.name: (r.check, r.reason) for p in parts for r in p.rejected.values()}
    assert reasons == {
        "b": ("empty", "it is empty"),
        "c": ("ragged_rows", "its row could not be read"),
    }


def test_an_array_is_one_part_with_its_scale(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([GREY, GREY]) / 255)
    (part,) = parts_of(tmp_path / "x.npy")
    (block,) = part.blocks
    assert (part.count, part.scale, part.rejected) == (2, "0..1", {})
    assert (block.rows, block.names) == ([0, 1], ["x.npy[0]", "x.npy[1]"])
    assert block.payload[1, ..., 0].tolist() == GREY.tolist()


def test_parts_of_an_array_have_the_scale_of_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 2)
    np.save(tmp_path / "x.npy", np.stack([GREY * 0, GREY // 5, GREY]) * 1.0)
    first, second = parts_of(tmp_path / "x.npy")
    assert [(part.count, part.scale, part.array) for part in (first, second)] == [
        (2, "0..255", "x.npy"),
        (1, "0..255", "x.npy"),
    ]
    assert first.blocks[0].payload.max() == 1
    assert second.blocks[0].rows == [0]


def test_the_digest_of_an_item_is_that_of_its_decoded_bytes():
    assert digests(np.stack([GREY, GREY + 1]), medium("image")) == (
        hashlib.sha256(bytes(range(6))).digest()
        + hashlib.sha256(bytes(range(1, 7))).digest()
    )


def test_a_source_without_a_usable_item_says_why():
    first = Rejected("", "", "", "a.png", "size", "too big")
    error = none_usable(Counter(size=1, decode=2), first, "here", "Mend it.")
    assert str(error) == (
        "None of the 3 items of here can be used (decode: 2, size: 1). One of them, "
        "a.png: too big. Mend it."
    )
    assert str(none_usable(Counter(), None, "here", "")) == (
        "here holds no items. Give data with rows."
    )


@pytest.mark.parametrize("kept", [[True, True, True], [True, False, True]])
def test_a_block_is_taken_apart_by_rows(tmp_path, kept):
    np.save(tmp_path / "x.npy", np.stack([GREY, GREY + 1, GREY + 2]))
    (part,) = parts_of(tmp_path / "x.npy")
    taken = part.blocks[0].take(np.array(kept))
    rows = [row for row, is_kept in enumerate(kept) if is_kept]
    assert taken.rows == rows
    assert taken.names == [f"x.npy[{row}]" for row in rows]
    assert taken.labels == [""] * len(rows)
    assert taken.payload[:, 0, 0, 0].tolist() == rows


@pytest.mark.parametrize("shape", [(800,), None])
def test_a_sound_that_claims_too_many_samples_is_set_aside_by_itself(shape):
    """It is never decoded, and so does not make the data a decompression bomb."""
    file = io.BytesIO()
    soundfile.write(file, np.full(800, 0.1), 8_000, "PCM_16", format="FLAC")
    data = file.getvalue()
    most = (int.from_bytes(data[21:26]) | 2**36 - 1).to_bytes(5)
    lying = data[:21] + most + data[26:]
    chunk = Chunk(None, [data, lying], ["a", "a"], ["0", "1"])
    form = Form(shape=shape, sample_rate_hz=8_000)
    (part,) = decode_chunk(chunk, medium("audio"), form, "here", ITEM_BYTES)
    assert list(part.rejected) == [1]
    assert part.rejected[1].check == "too_long"


def test_an_image_that_claims_too_many_pixels_is_set_aside_by_itself(tmp_path):
    """It is never decoded, and so does not make the data a decompression bomb."""
    data = png(RED)
    header = b"IHDR" + struct.pack(">II", 100_000, 100_000) + data[24:29]
    lying = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    chunk = Chunk(None, [data, lying], ["a", "a"], ["0", "1"])
    options = {"resize": "pad", "filter": "bicubic"}
    form = Form(shape=SHAPE, options=options)
    (part,) = decode_chunk(chunk, medium("image"), form, "here", ITEM_BYTES)
    assert list(part.rejected) == [1]
    assert part.rejected[1].check == "too_large"
