"""The command line as in tests of flows, for those who attack it."""

from __future__ import annotations

from tests.flows.conftest import after_first, first, home, prefect_server

__all__ = ["after_first", "first", "home", "prefect_server"]
