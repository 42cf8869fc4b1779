"""`make release`: what it refuses, what it builds, and its bill of materials."""

import json
import re
import subprocess
import tomllib
from importlib import metadata

import pytest
from tests.releases import building
from tests.releases.bill import bill_of_release
from tests.repo.docs_blocks import ROOT

import headrace

VERSION = metadata.version("headrace")


def git(folder, *arguments):
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@lab"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


@pytest.fixture
def repository(tmp_path):
    """A committed version 2.1.0 with an entry."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "2.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [2.1.0] - 2027-01-02\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "A release")
    return tmp_path


def test_a_committed_version_with_an_entry_is_released(repository):
    assert building.check(repository) == "2.1.0"


def test_a_tree_with_changes_is_refused(repository):
    (repository / "more.py").touch()
    with pytest.raises(SystemExit, match=r"not committed:\n\?\? more\.py"):
        building.check(repository)


def test_a_version_without_an_entry_is_refused(repository):
    entry = "## [2.1.0] - not yet released"
    (repository / "CHANGELOG.md").write_text(f"# Changelog\n\n{entry}\n")
    git(repository, "commit", "--quiet", "-am", "Another entry")
    with pytest.raises(SystemExit, match=r"no entry .* 2\.1\.0\. Write one"):
        building.check(repository)


@pytest.mark.system
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone")
def test_two_builds_have_the_same_bytes(tmp_path):
    wheel, sdist = building.build_twice(ROOT, tmp_path)
    assert wheel.name.startswith("headrace-") and wheel.suffix == ".whl"
    assert sdist.name.endswith(".tar.gz")


def test_every_place_has_the_version():
    texts = [ROOT / "docs" / "tutorial.md", *(ROOT / "infra").rglob("*")]
    files = {path: path.read_text("utf-8") for path in texts if path.is_file()}
    pattern = r"headrace[:-](\d[\w.]*)-|newName: headrace, newTag: (\d[\w.]*)-"
    found = {
        (path.name, "".join(versions))
        for path, text in files.items()
        for versions in re.findall(pattern, text)
    }
    assert {name for name, _ in found} >= {"tutorial.md", "compose.yaml", "Dockerfile"}
    assert {version for _, version in found} == {VERSION}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == headrace.__version__ == VERSION


@pytest.fixture(scope="module")
def bill(tmp_path_factory):
    wheel = tmp_path_factory.mktemp("wheel") / "headrace.whl"
    wheel.write_bytes(b"a wheel")
    return bill_of_release(ROOT, wheel, 1_796_000_000)


def test_the_bill_fits_the_official_schema(bill):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bill)) is None
    assert bill["metadata"]["timestamp"] == "2026-11-30T00:53:20+00:00"
