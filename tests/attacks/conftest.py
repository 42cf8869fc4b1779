"""The command line as in tests of flows, for those who attack it."""

from __future__ import annotations

import pytest
from tests.flows.conftest import after_first, first, home

__all__ = ["after_first", "first", "home"]


@pytest.fixture(scope="session", autouse=True)
def _prefect_is_configured(prefect_server: str) -> None:
    """Prefect reads its settings once: those of the tests, before routers are asked."""
