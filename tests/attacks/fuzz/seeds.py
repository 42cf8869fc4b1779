"""Small good files of every format that is read, made in code."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import wave
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 12
_WORDS = ("a ship at sea", "two birds", "the old mill", "rain, and wind")
Wrap = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Seed:
    """A good file.

    Attributes:
        medium: as which it is read.
        data: its bytes; where it is packed, before that.
        wrap: packs it, so that what is damaged is what the packed file holds.
        suffix: of its name.
        item: whether it is one encoded item, and no source.
        shape: declared of its items, where they do not tell it themselves.
    """

    name: str
    medium: str
    data: bytes
    suffix: str
    wrap: Wrap = bytes
    item: bool = False
    shape: tuple[int, ...] | None = None


def all_seeds() -> list[Seed]:
    """One of each kind, always the same."""
    return [*_images(), *_sounds(), *_tables(), *_parquet(), *_arrays(), *_archives()]


def _image(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(3).integers(0, 255, (9, 12, 4), np.uint8)
    image = Image.fromarray(pixels, "RGBA").convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _images() -> Iterator[Seed]:
    kinds: dict[str, tuple[str, str, dict[str, Any]]] = {
        "png": ("PNG", "L", {}),
        "png_alpha": ("PNG", "RGBA", {}),
        "png_palette": ("PNG", "P", {}),
        "jpeg": ("JPEG", "RGB", {}),
        "jpeg_progressive": ("JPEG", "L", {"progressive": True}),
        "gif": ("GIF", "P", {}),
        "bmp": ("BMP", "RGB", {}),
        "webp": ("WEBP", "RGB", {}),
        "webp_lossless": ("WEBP", "RGBA", {"lossless": True}),
        "tiff": ("TIFF", "RGB", {}),
        "tiff_lzw": ("TIFF", "L", {"compression": "tiff_lzw"}),
        "tiff_fax": ("TIFF", "1", {"compression": "group4"}),
    }
    for name, (kind, mode, options) in kinds.items():
        yield Seed(name, "image", _image(kind, mode, **options), ".img", item=True)


def _sound() -> np.ndarray[Any, Any]:
    time = np.arange(800) / 8000
    return (9000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)


def _wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(_sound().tobytes())
    return buffer.getvalue()


def _sounds() -> Iterator[Seed]:
    import soundfile

    yield Seed("wav", "audio", _wav(), ".wav", item=True)
    kinds = {
        "flac": ("FLAC", "PCM_16"),
        "flac_24": ("FLAC", "PCM_24"),
        "vorbis": ("OGG", "VORBIS"),
        "opus": ("OGG", "OPUS"),
        "mp3": ("MP3", "MPEG_LAYER_III"),
        "aiff": ("AIFF", "PCM_16"),
        "au": ("AU", "ULAW"),
        "wav_float": ("WAV", "FLOAT"),
        "wav_adpcm": ("WAV", "IMA_ADPCM"),
    }
    stereo = np.stack([_sound(), _sound() // 2], axis=1)
    for name, (kind, subtype) in kinds.items():
        buffer = io.BytesIO()
        soundfile.write(buffer, stereo, 8000, format=kind, subtype=subtype)
        yield Seed(name, "audio", buffer.getvalue(), ".snd", item=True)


def _csv(delimiter: str = ",") -> str:
    lines = [delimiter.join(("text", "label", "split"))]
    for row in range(ROWS):
        text = f'"{_WORDS[row % 4]} {row}"'
        lines.append(delimiter.join((text, "ab"[row % 2], "train")))
    return "\n".join(lines) + "\n"


def _objects() -> list[dict[str, Any]]:
    return [
        {"text": f"{_WORDS[row % 4]} {row}", "label": "ab"[row % 2], "n": row / 2}
        for row in range(ROWS)
    ]


def _tables() -> Iterator[Seed]:
    lines = "\n".join(map(json.dumps, _objects())).encode()
    yield Seed("csv", "text", _csv().encode(), ".csv")
    yield Seed("tsv", "text", _csv("\t").encode(), ".tsv")
    yield Seed("csv_utf16", "text", _csv(";").encode("utf-16"), ".csv")
    yield Seed("csv_gbk", "text", _csv().replace("ship", "船").encode("gbk"), ".csv")
    yield Seed("jsonl", "text", lines, ".jsonl")
    yield Seed("json", "text", json.dumps(_objects()).encode(), ".json")
    wrapped = json.dumps({"rows": _objects()}).encode()
    yield Seed("json_wrapped", "text", wrapped, ".json")
    yield Seed("csv_gz", "text", _csv().encode(), ".csv.gz", gzip.compress)
    yield Seed("csv_bz2", "text", _csv().encode(), ".csv.bz2", bz2.compress)
    yield Seed("jsonl_xz", "text", lines, ".jsonl.xz", lzma.compress)
    yield Seed("gz_itself", "text", gzip.compress(lines), ".jsonl.gz")
    yield Seed("xz_itself", "text", lzma.compress(lines), ".jsonl.xz")


def _write(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def _parquet() -> Iterator[Seed]:
    png = _image("PNG", "L")
    labels = pa.array(["a", "b"] * (ROWS // 2))
    texts = pa.array([f"{_WORDS[row % 4]} {row % 3}" for row in range(ROWS)])
    table = {"text": texts, "label": labels}
    plain = {"compression": "none", "use_dictionary": False}
    yield Seed("parquet_text", "text", _write(pa.table(table)), ".parquet")
    yield Seed("parquet_plain", "text", _write(pa.table(table), **plain), ".parquet")
    v2 = {"data_page_version": "2.0", "compression": "zstd", "row_group_size": 5}
    yield Seed("parquet_v2", "text", _write(pa.table(table), **v2), ".parquet")
    cells = {
        "binary": pa.array([png] * ROWS),
        "struct": pa.array([{"bytes": png, "path": "x.png"}] * ROWS),
        "fixed": pa.array([bytes(range(16))] * ROWS, pa.binary(16)),
        "list": pa.array([list(range(16))] * ROWS, pa.list_(pa.uint8())),
        "floats": pa.array([[0.5] * 16] * ROWS, pa.list_(pa.float32(), 16)),
    }
    for name, column in cells.items():
        shape = {"headrace.shape": "4x4x1"} if name == "fixed" else None
        items = pa.table({"image": column, "label": labels}, metadata=shape)
        data, own = _write(items), (4, 4, 1) if name in ("list", "floats") else None
        yield Seed(f"parquet_{name}", "image", data, ".parquet", shape=own)


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _arrays() -> Iterator[Seed]:
    images = np.random.default_rng(4).integers(0, 255, (ROWS, 4, 4), np.uint8)
    labels = np.arange(ROWS) % 2
    buffer = io.BytesIO()
    np.save(buffer, images)
    yield Seed("npz", "image", _npz(x=images, y=labels), ".npz")
    yield Seed("npz_floats", "image", _npz(x=images / 255, y=labels), ".npz")
    yield Seed("npy", "image", buffer.getvalue(), ".npy")
    yield Seed(
        "npy_in_npz",
        "image",
        buffer.getvalue(),
        ".npz",
        partial(_zipped_with, "x.npy", {"y.npy": _saved(labels)}),
    )
    idx = struct.pack(">BBBB3I", 0, 0, 8, 3, *images.shape) + images.tobytes()
    yield Seed("idx", "image", idx, "-idx3-ubyte")
    yield Seed("idx_gz", "image", idx, "-idx3-ubyte.gz", gzip.compress)
    marks = struct.pack(">BBBBI", 0, 0, 8, 1, ROWS) + labels.astype("u1").tobytes()
    yield Seed(
        "idx_pair",
        "image",
        idx,
        ".zip",
        partial(
            _zipped_with,
            "train-images-idx3-ubyte",
            {"train-labels-idx1-ubyte": marks},
        ),
    )


def _zipped_with(name: str, others: Mapping[str, bytes], data: bytes) -> bytes:
    return _zipped({**others, name: data})


def _saved(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def _tarred(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _archives() -> Iterator[Seed]:
    images = {f"{'ab'[row % 2]}/{row}é.png": _image("PNG", "L") for row in range(6)}
    sounds = {f"clips/{row}.wav": _wav() for row in range(4)}
    listing = b"file,label\n" + b"".join(
        f"{row}.wav,{'ab'[row % 2]}\n".encode() for row in range(4)
    )
    texts = {f"{'ab'[row % 2]}/{row}.txt": b"a text of it" for row in range(6)}
    yield Seed("zip", "image", _zipped(images), ".zip")
    yield Seed("tar", "image", _tarred(images), ".tar")
    yield Seed("tar_gz", "image", _tarred(images), ".tar.gz", gzip.compress)
    yield Seed("tar_xz", "text", _tarred(texts), ".tar.xz", lzma.compress)
    yield Seed(
        "listed",
        "audio",
        listing,
        ".zip",
        partial(_zipped_with, "metadata.csv", sounds),
    )
    yield Seed(
        "texts",
        "text",
        b"some text",
        ".zip",
        partial(_zipped_with, "a/x.txt", texts),
    )
