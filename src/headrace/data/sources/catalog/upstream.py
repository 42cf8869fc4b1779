"""Brings files of upstream to the form of the catalog: members of zips, and tables.

The tables of all editions have the same rows, so that snapshots are equal. Digests are
checked before.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.data.sources.places.archive import zip_tree
from headrace.data.sources.places.files import File
from headrace.errors import SourceError

if TYPE_CHECKING:
    from headrace.settings import Settings

_TEST_SHARE = 0.2
_TEST_INDICES = 5
_RECORDING = re.compile(r"(\d)_(.+)_(\d+)\.wav")


def in_memory(where: str, data: bytes) -> File:
    """Bytes as a file."""
    return File(where, len(data), functools.partial(io.BytesIO, data))


def zip_contents(
    archive: File, pattern: str, settings: Settings, files: contextlib.ExitStack
) -> dict[str, File]:
    """The members of a zip that match, by name, whatever folder they lie in.

    Args:
        pattern: such as ``recordings/*.wav``.
        files: keeps the archive open.

    Raises:
        SourceError: it is no zip, damaged, hostile, or holds no such file.
    """
    depth = pattern.count("/") + 1
    members = {}
    tree = zip_tree(archive, settings, files)
    for full in sorted(tree.files):
        name = "/".join(full.split("/")[-depth:])
        if fnmatchcase(name, pattern):
            members[name] = tree.files[full]
    if not members:
        raise SourceError(f"{archive.where} holds no {pattern}.", "Download it again.")
    return members


def contents_digest(files: Mapping[str, File]) -> str:
    """The sha256 of the sorted lines ``name sha256`` of files."""
    lines = (
        f"{name} {hashlib.sha256(file.read()).hexdigest()}\n"
        for name, file in sorted(files.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def packed(files: Mapping[str, File]) -> bytes:
    """Files as a zip; equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, file in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), file.read())
    return buffer.getvalue()


def as_parquet(table: pa.Table, where: str) -> File:
    """A table as a file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return in_memory(where, sink.getvalue().to_pybytes())


def sms_spam(files: Mapping[str, File]) -> pa.Table:
    """Messages of lines ``label<TAB>text``; equal texts are in the same split."""
    text = files["SMSSpamCollection"].read().decode("utf-8")
    rows = [line.split("\t", 1) for line in text.split("\n") if line]
    digests = (hashlib.sha256(row[1].encode()).digest() for row in rows)
    shares = (int.from_bytes(digest[:8], "big") / 2**64 for digest in digests)
    return pa.table(
        {
            "label": [row[0] for row in rows],
            "text": [row[1] for row in rows],
            "split": ["test" if share < _TEST_SHARE else "train" for share in shares],
        }
    )


def sib200(files: Mapping[str, File]) -> pa.Table:
    """Sentences of tables that are named ``language.split.tsv``."""
    columns: dict[str, list[str | int]] = {
        name: [] for name in ("text", "label", "lang", "split", "index_id")
    }
    for name, file in files.items():
        language, split, _ = name.split(".")
        for line in file.read().decode("utf-8").split("\n")[1:]:
            if not line:
                continue
            index, label, text = line.split("\t")
            columns["text"].append(text.strip('"'))
            columns["label"].append(label)
            columns["lang"].append(language)
            columns["split"].append("val" if split == "dev" else split)
            columns["index_id"].append(int(index))
    return pa.table(columns)


def spoken_digits(files: Mapping[str, File]) -> pa.Table:
    """Metadata of recordings that are named ``digit_speaker_index.wav``."""
    names = sorted(files)
    parts = [match.groups() for name in names if (match := _RECORDING.search(name))]
    indices = [int(index) for _, _, index in parts]
    return pa.table(
        {
            "file": names,
            "label": [digit for digit, _, _ in parts],
            "speaker": [speaker for _, speaker, _ in parts],
            "index": indices,
            "split": ["test" if i < _TEST_INDICES else "train" for i in indices],
        }
    )
