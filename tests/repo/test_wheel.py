"""What is in the wheel that people install."""

import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from hatchling import build
from tests.releases.trying import use
from tests.repo.installing import install

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return folder / build.build_wheel(str(folder))


@pytest.fixture(scope="module")
def names(wheel):
    """The names of the files in it."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module(names):
    for root in (ROOT / "src", ROOT / "flows"):
        modules = {str(path.relative_to(root)) for path in root.rglob("*.py")}
        assert modules
        assert modules <= names
    assert "headrace/py.typed" in names


def test_the_wheel_holds_the_pipelines(names):
    files = {
        f"headrace/{path.relative_to(ROOT)}"
        for path in (ROOT / "pipelines").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "headrace/pipelines/digits/pipeline.toml" in files
    assert files <= names


def test_the_wheel_holds_nothing_else(names):
    tops = {name.split("/", maxsplit=1)[0] for name in names}
    about = f"headrace-{metadata.version('headrace')}.dist-info"
    assert tops == {"headrace", "headrace_cli", "headrace_flows", "headrace_ops", about}
    assert f"{about}/licenses/LICENSE" in names


def test_the_installed_wheel_makes_a_project_runs_and_serves_it(wheel, tmp_path):
    python = install(wheel, tmp_path / "env")
    headrace, ran, answered, verified = use(python, tmp_path)
    project = tmp_path / "project"
    assert {path.name for path in project.iterdir()} == {
        *("pipelines", "README.md", ".gitignore", ".headrace")
    }
    assert ran["metrics"]["test_accuracy"] > 0.9
    assert 0 < answered["probability"] <= 1
    assert verified["status"] == "ok"
    listed = {one["name"]: one for one in headrace("list")["pipelines"]}
    assert listed["digits"]["folder"] == str(project / "pipelines" / "digits")
    assert listed["digits"]["schedule"] is None
    others = {one["folder"] for one in listed.values()}
    assert any(str(tmp_path / "env") in str(one) for one in others), "the wheel's own"
