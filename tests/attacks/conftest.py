"""The command line as in tests of flows, for those who attack it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.flows.conftest import after_first, first, home

from headrace.settings import Settings

__all__ = ["after_first", "first", "headrace", "home"]


@pytest.fixture(scope="session", autouse=True)
def _prefect_is_configured(prefect_server: str) -> None:
    """Prefect reads its settings once: those of the tests, before routers are asked."""


def headrace(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The real command in a home."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    places = {
        "HEADRACE_HOME": str(settings.home),
        "HEADRACE_PROJECT": str(settings.project),
        "HEADRACE_USER": "ada@lab",
    }
    return subprocess.run(
        [sys.executable, "-m", "headrace_flows.cli.main", *arguments],
        env={**inherited, **places},
        cwd=settings.project,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
