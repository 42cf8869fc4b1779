"""Ingests small sources."""

from __future__ import annotations

import pytest

from headrace.ingestion import ingest
from headrace.settings import Settings
from headrace.spec import DataSpec
from headrace.store import Store


@pytest.fixture
def run(tmp_path):
    """Ingests what `source` names; declared fields by keyword."""
    settings = Settings(project=tmp_path)
    store = Store(str(tmp_path / "store"))

    def _run(source, **declared):
        data = DataSpec(source=str(source), **declared)
        return ingest(data, "image", store, settings)

    return _run
