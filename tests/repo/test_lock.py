"""``requirements.lock`` is complete, hash-pinned, and tied to no package index."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def locked():
    """Each package's requirement and the text that follows it."""
    found = {}
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for block in text.replace("\\\n", " ").splitlines():
        if block and not block.startswith(("#", " ")):
            said, _, hashes = block.partition(" --hash=")
            requirement = Requirement(said)
            found[f"{requirement.name}{requirement.marker or ''}"] = requirement, hashes
    return found


def direct():
    """What ``pyproject.toml`` asks for, the tools included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]


def test_every_package_is_pinned_with_its_hashes():
    packages = locked()
    assert len(packages) > 100
    for name, (requirement, hashes) in packages.items():
        assert [s.operator for s in requirement.specifier] == ["=="], name
        assert hashes.startswith("sha256:"), name


def test_no_place_to_download_from_is_named():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize("said", direct(), ids=lambda said: Requirement(said).name)
def test_a_direct_dependency_is_locked_within_its_bounds(said):
    wanted = Requirement(said)
    versions = [
        next(iter(requirement.specifier)).version
        for requirement, _ in locked().values()
        if requirement.name == wanted.name
    ]
    assert versions
    assert all(version in wanted.specifier for version in versions)
    assert any(bound.operator == ">=" for bound in wanted.specifier)
