"""100 small images of cats and dogs, and the verdict on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from tests.src.monitoring.conftest import digits  # noqa: F401 - a fixture

from headrace.media.forms import Rejected
from headrace.pipeline import DataSpec, PipelineSpec
from headrace.records import ContractRecord, DataDescription, Finding
from headrace.settings import Settings
from headrace.stages.ingestion import ingest
from headrace.stages.validation import validate
from headrace.state.store import Store

SPLITS = ["train"] * 60 + ["val"] * 8 + ["test"] * 32


@dataclass
class Data:
    """100 different images of 4 x 4, two classes in turn; change what you like."""

    pixels: npt.NDArray[np.uint8] = field(
        default_factory=lambda: np.random.default_rng(0).integers(
            0, 256, (100, 4, 4, 1), np.uint8
        )
    )
    label: list[str] = field(default_factory=lambda: ["cat", "dog"] * 50)
    split: list[str] = field(default_factory=lambda: list(SPLITS))
    rejected: list[Rejected] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


Check = Callable[..., ContractRecord]


@pytest.fixture
def check(tmp_path, write_snapshot):
    """Write the data as a snapshot and validate it."""

    def run(data, contract=(), **limits):
        store = Store(str(tmp_path))
        spec = PipelineSpec.model_validate(
            {
                "name": "pets",
                "medium": "image",
                "data": {"source": "made", "classes": ["cat", "dog"], **limits},
                "contract": contract,
            }
        )
        names = [f"{row}.png" for row in range(len(data.pixels))]
        description = DataDescription(
            medium="image", shape=(4, 4, 1), classes=("cat", "dog")
        )
        snapshot = write_snapshot(
            store,
            description,
            data.pixels,
            {"split": data.split, "label": data.label, "name": names},
            data.rejected,
            data.findings,
        )
        return validate(spec, snapshot, store, Settings(project=tmp_path))

    return run


@pytest.fixture
def check_texts(tmp_path):
    """Ingest texts of two classes in turn, and validate them."""

    def run(texts):
        store, settings = Store(str(tmp_path)), Settings(project=tmp_path)
        rows = [{"text": t, "label": "ab"[n % 2]} for n, t in enumerate(texts)]
        file = tmp_path / "texts.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)))
        data = DataSpec(source=str(file))
        spec = PipelineSpec(name="letters", medium="text", data=data)
        return validate(spec, ingest(data, "text", store, settings), store, settings)

    return run


def quarantine(record):
    """Check and reason of each name in quarantine."""
    rows = pq.read_table(record.quarantine_uri).to_pylist()
    return {row["name"]: (row["check"], row["reason"]) for row in rows}


def expectation(name, **arguments):
    return [{"expectation": f"expect_{name}", **arguments}]
