"""Models need Keras."""

import pytest

from headrace.imports.backend import load_backend


@pytest.fixture(scope="session", autouse=True)
def _backend():
    load_backend()
