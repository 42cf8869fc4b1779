"""What the files of data sets are made to where no reader knows them as they come."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.data.sources.places.archive import zip_tree
from headrace.data.sources.places.files import File, in_memory, translate_errors
from headrace.data.sources.places.trees import FileTree
from headrace.errors import SourceError
from headrace.settings import Settings

_SIDE = 28
_TRAIN_SHARE = 0.9  # of the plays
_RECORDING = re.compile(r"(\d)_(.+)_(\d+)\.wav")
_TEST_INDICES = 5
_Files = Mapping[str, File]


def members_of(
    archive: File, pattern: str, settings: Settings, files: ExitStack
) -> dict[str, File]:
    """The members of a zip that match, by name, whatever folder they lie in.

    Args:
        pattern: such as ``recordings/*.wav``.
        files: keeps the archive open.

    Raises:
        SourceError: it is no zip, damaged, hostile, or holds no such file.
    """
    depth = pattern.count("/") + 1
    every = zip_tree(archive, settings, files).files
    short = {"/".join(name.split("/")[-depth:]): name for name in every}
    found = {name: every[short[name]] for name in short if fnmatchcase(name, pattern)}
    if not found:
        raise SourceError(f"{archive.where} holds no {pattern}.", "Download it again.")
    return dict(sorted(found.items()))


def digits(files: _Files, where: str, settings: Settings, _: ExitStack) -> File:
    """Images ``(n, 28, 28)`` and labels of lines of 784 values and a label, as npz."""
    (file,) = files.values()
    with translate_errors(file.where):
        text = gzip.decompress(file.read())
    table = np.loadtxt(io.BytesIO(text), np.uint8, delimiter=",")
    sink = io.BytesIO()
    images = table[:, :-1].reshape(-1, _SIDE, _SIDE)
    np.savez(sink, x=images, y=table[:, -1])
    return in_memory(where, sink.getvalue())


def sib200(files: _Files, where: str, settings: Settings, _: ExitStack) -> File:
    """Sentences of tables that are named ``language.split.tsv``."""
    rows = []
    for name, file in files.items():
        language, split, _suffix = name.split(".")
        for line in filter(None, file.read().decode("utf-8").split("\n")[1:]):
            index, label, text = line.split("\t")
            row = {"text": text.strip('"'), "label": label, "lang": language}
            row["split"] = "val" if split == "dev" else split
            rows.append({**row, "index_id": int(index)})
    return _as_parquet(rows, where)


def plays(files: _Files, where: str, settings: Settings, _: ExitStack) -> File:
    """Speeches of plays, which blank lines part; the last tenth is held out."""
    (file,) = files.values()
    texts = file.read().decode("utf-8").split("\n\n")
    train = round(_TRAIN_SHARE * len(texts))
    rows = [
        {"i": i, "text": text, "split": "train" if i < train else "val"}
        for i, text in enumerate(texts)
    ]
    return _as_parquet(rows, where)


def spoken_digits(
    files: _Files, where: str, settings: Settings, opened: ExitStack
) -> FileTree:
    """Recordings that are named ``digit_speaker_index.wav``, and their metadata."""
    (file,) = files.values()
    members = members_of(file, "recordings/*.wav", settings, opened)
    rows = []
    for name in members:
        if match := _RECORDING.search(name):
            label, speaker, index = match.groups()
            row = {"file": name, "label": label, "speaker": speaker}
            split = "test" if int(index) < _TEST_INDICES else "train"
            rows.append({**row, "index": int(index), "split": split})
    table = _as_parquet(rows, where)
    return FileTree(where, {**members, "metadata.parquet": table})


def _as_parquet(rows: list[dict[str, Any]], where: str) -> File:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return in_memory(where, sink.getvalue().to_pybytes())
