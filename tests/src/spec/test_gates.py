"""What a pipeline file says of gates is checked when it is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.errors import SpecError
from headrace.spec import load_spec

FILE = """
medium = "image"
data.source = "x"
gates = [{ name = "finite" }, { name = "even", kind = "spred" }]
"""


def test_an_unknown_kind_of_gate_gets_the_nearest_name(
    extend: Callable[..., str], tmp_path: Path
) -> None:
    extend("gates", "spread")
    (tmp_path / "pipeline.toml").write_text(FILE)
    message = (
        "gates.1.kind = 'spred': there is no such kind of gate. Did you mean spread? "
        "Known: ratio, spread. A kind from a package needs that package installed."
    )
    with pytest.raises(SpecError, match=re.escape(message)):
        load_spec(tmp_path, name="pools")
