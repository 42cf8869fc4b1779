"""What tests of the repository share."""

import importlib.util

import pytest
from tests.repo.docs_blocks import ROOT


@pytest.fixture(scope="session")
def reference():
    """The module that generates the reference."""
    path = ROOT / "docs" / "_extensions" / "generated_reference.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
