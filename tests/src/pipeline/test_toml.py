"""Values are written as TOML that reads as they are."""

import tomllib

import pytest

from headrace.pipeline.toml import as_toml


@pytest.mark.parametrize("value", [0.9692, 5.0, 1e-7, 1e22, -0.25, 0.1 + 0.2])
def test_a_number_is_written_as_it_is(value):
    assert tomllib.loads(f"value = {as_toml(value)}")["value"] == value
