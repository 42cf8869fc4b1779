"""Searches all files of a home for traces of an item, also inside other formats.

Formats are base64, zip (so npz and Keras), gzip, PNG, Parquet and the cells of SQLite,
whose files are searched as raw bytes, too: free pages and the write-ahead log.
"""

import base64
import contextlib
import gzip
import io
import re
import sqlite3
import zipfile
import zlib

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]|\\/){32,}={0,2}")
_DEEPEST = 4


def traces(root, needles):
    """The names of the needles that each file below a folder has, by its path."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            names = set()
            for data in (path.read_bytes(), *_cells(path)):
                names |= {name for part in _parts(data) for name in _of(part, needles)}
            if names:
                found[path.relative_to(root).as_posix()] = names
    return found


def _of(data, needles):
    for name, needle in needles.items():
        if needle in data:
            yield name


def _cells(path):
    """What a SQLite database has in its cells; a long one is in parts in its file."""
    if path.open("rb").read(15) != b"SQLite format 3":
        return
    with contextlib.closing(
        sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    ) as opened:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (table,) in opened.execute(query).fetchall():
            for row in opened.execute(f'SELECT * FROM "{table}"'):
                yield from (c if isinstance(c, bytes) else str(c).encode() for c in row)


def _parts(data, depth=0):
    """Bytes, and all that is packed into them."""
    yield data
    if depth == _DEEPEST:
        return
    for inner in _unpacked(data):
        yield from _parts(inner, depth + 1)


def _unpacked(data):
    stream = io.BytesIO(data)
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(stream) as archive:
            yield from map(archive.read, archive.namelist())
    elif data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:4] == b"PAR1":
        for column in pq.read_table(stream).itercolumns():
            for chunk in column.chunks:
                yield from (bytes(part) for part in chunk.buffers() if part)
    elif data[:4] == b"\x89PNG":
        with Image.open(stream) as image:
            yield np.asarray(image).tobytes()
    elif data[:2] in (b"\x78\x01", b"\x78\x9c", b"\x78\xda"):
        with contextlib.suppress(zlib.error):
            yield zlib.decompress(data)
    for match in _BASE64.finditer(data):
        text = match[0].replace(b"\\/", b"/")
        for start in range(4):  # letters may come before it
            rest = text[start:]
            yield base64.b64decode(rest[: len(rest) // 4 * 4])
