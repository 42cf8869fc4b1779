"""Models need Keras."""

from __future__ import annotations

import pytest

from headrace.backend import load_backend


@pytest.fixture(scope="session", autouse=True)
def _backend() -> None:
    load_backend()
