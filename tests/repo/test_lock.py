"""``requirements.lock`` is complete, hash-pinned, and tied to no package index."""

from pathlib import Path

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
