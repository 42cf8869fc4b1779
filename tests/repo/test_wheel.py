"""What is in the wheel that people install."""

from __future__ import annotations

import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from hatchling import build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        wheel = build.build_wheel(str(folder))
    with zipfile.ZipFile(folder / wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module(names: set[str]) -> None:
    for root in (ROOT / "src", ROOT / "flows"):
        modules = {str(path.relative_to(root)) for path in root.rglob("*.py")}
        assert modules
        assert modules <= names
    assert "headrace/py.typed" in names


def test_the_wheel_holds_the_pipelines(names: set[str]) -> None:
    files = {
        f"headrace/{path.relative_to(ROOT)}"
        for path in (ROOT / "pipelines").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "headrace/pipelines/digits/pipeline.toml" in files
    assert files <= names


def test_the_wheel_holds_nothing_else(names: set[str]) -> None:
    tops = {name.split("/", maxsplit=1)[0] for name in names}
    about = f"headrace-{metadata.version('headrace')}.dist-info"
    assert tops == {"headrace", "headrace_cli", "headrace_flows", "headrace_ops", about}
    assert f"{about}/licenses/LICENSE" in names
