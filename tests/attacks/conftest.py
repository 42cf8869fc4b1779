"""The command line as in tests of flows, for those who attack it."""

import os
import subprocess
import sys
import time

import httpx
import pytest


@pytest.fixture(scope="session", autouse=True)
def _prefect_is_configured(prefect_server):
    """Prefect reads its settings once: those of the tests, before routers are asked."""


def headrace(settings, *arguments):
    """The real command in a home."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    places = {
        "HEADRACE_HOME": str(settings.home),
        "HEADRACE_PROJECT": str(settings.project),
        "HEADRACE_USER": "ada@lab",
    }
    return subprocess.run(
        [sys.executable, "-m", "headrace_cli", *arguments],
        env={**inherited, **places},
        cwd=settings.project,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


class Patient(httpx.HTTPTransport):
    """Asks again while Prefect answers that SQLite is locked, as its clients do."""

    def handle_request(self, request):
        limit = time.monotonic() + 120
        while True:
            answer = super().handle_request(request)
            if answer.status_code != 503 or time.monotonic() > limit:
                return answer
            answer.close()
            time.sleep(0.5)
