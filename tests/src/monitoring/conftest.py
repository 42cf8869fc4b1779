"""A home whose champion is version 1 of ``blobs``, and windows of new blobs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from tests.blobs import blobs

from headrace.media import medium
from headrace.media.comparable import item_columns
from headrace.models.logged.loading import load_version
from headrace.serving.requests.columns import COLUMN, INPUT, SCHEMA
from headrace.serving.requests.parts import new_key, write_part
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import Tracking

SEED = 77


@pytest.fixture
def watched(after_first):
    """The settings of the home."""
    return Settings(
        project=after_first.project, home=after_first.path, user="ada@lab"
    ).prepare_home()


@pytest.fixture
def version(watched):
    return Ledger(watched.database_url).find("blobs")


@pytest.fixture
def write_window(tmp_path):
    """Writes new blobs with their labels, perhaps changed, as an npz file."""

    def write(name, rows=120, seed=SEED, shift=None, wrong=0):
        images, labels = blobs(rows, seed)
        labels[:wrong] = (labels[:wrong] + 1) % 3
        path = tmp_path / f"{name}.npz"
        np.savez(path, x_test=shift(images) if shift else images, y_test=labels)
        return path

    return write


@dataclass(frozen=True)
class LoggedRequests:
    """Writes rows of the request log, as a server does."""

    settings: Settings
    version: Version

    def write(
        self,
        images,
        start,
        *,
        seconds=1.0,
        role="champion",
        version=0,
        inputs=False,
        outputs=None,
        ids=None,
        are_logged=True,
    ):
        """Write one request for each image; returns their ids.

        Their outputs are null unless they are logged.
        """
        data = self.version.description
        items = np.asarray(images)[..., np.newaxis]
        if outputs is None:
            loaded = load_version(Tracking(self.settings), self.version)
            outputs = loaded(items)
        count = len(items)
        values = list(np.asarray(outputs, np.float32)) if are_logged else [None] * count
        ids = ids or [f"{role}-{start:%d%H%M}-{n}" for n in range(count)]
        columns = {
            "request_id": ids,
            "row": [0] * count,
            "time": [start + timedelta(seconds=seconds * n) for n in range(count)],
            "model": ["blobs"] * count,
            "version": [version or self.version.version] * count,
            "role": [role] * count,
            "item": [hashlib.sha256(item.tobytes()).hexdigest() for item in items],
            "answer": [str(n) for n in outputs.argmax(axis=1)],
            "outputs": values,
            "latency_ms": [1.0] * count,
            "engine": ["keras"] * count,
        }
        table = pa.table(columns, schema=SCHEMA)
        for name, values in item_columns(items, data).items():
            table = table.append_column(COLUMN + name, pa.array(values.astype(float)))
        if inputs:
            column = medium("image").as_column(items).cast(pa.binary())
            table = table.append_column(INPUT, column)
        write_part(Home(self.settings).store, new_key("blobs", start), table)
        return ids


@pytest.fixture
def requests(watched, version):
    return LoggedRequests(watched, version)
