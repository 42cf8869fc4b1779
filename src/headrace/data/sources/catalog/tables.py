"""The tables that editions of data sets are made to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.data.sources.places.files import File, in_memory

_TEST_SHARE = 0.2
_TRAIN_SHARE = 0.9  # of the plays
_RECORDING = re.compile(r"(\d)_(.+)_(\d+)\.wav")
_TEST_INDICES = 5


def as_parquet(table: pa.Table, where: str) -> File:
    """A table as a file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return in_memory(where, sink.getvalue().to_pybytes(), is_pinned=True)


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
    rows = []
    for name, file in files.items():
        language, split, _ = name.split(".")
        for line in filter(None, file.read().decode("utf-8").split("\n")[1:]):
            index, label, text = line.split("\t")
            row = {"text": text.strip('"'), "label": label, "lang": language}
            row["split"] = "val" if split == "dev" else split
            rows.append({**row, "index_id": int(index)})
    return pa.Table.from_pylist(rows)


def plays(files: Mapping[str, File]) -> pa.Table:
    """Speeches of plays, which blank lines part; the last tenth is held out."""
    texts = files["input.txt"].read().decode("utf-8").split("\n\n")
    train = round(_TRAIN_SHARE * len(texts))
    splits = ["train"] * train + ["val"] * (len(texts) - train)
    return pa.table({"i": range(len(texts)), "text": texts, "split": splits})


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
