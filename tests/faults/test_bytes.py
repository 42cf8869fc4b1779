"""One byte that was changed, anywhere: `headrace verify` finds it and names the file.

A few places of each kind; ``PLACES=50`` takes 50.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.signing import write_keys

from headrace.evidence.bundling import bundle
from headrace.evidence.bundling.archive import CARD, EVIDENCE, PACKAGES
from headrace.evidence.bundling.checking import check_bundle
from headrace.evidence.verification import verify
from headrace.settings import Settings, variable

pytest.importorskip("model_signing")
MODEL = "model/logged/data/model.keras"
PLACES = int(variable("PLACES") or 3)
KINDS = {
    "model": "mlartifacts/**/model.keras",
    "other file of the model": "mlartifacts/**/MLmodel",
    "copy of the model": "store/models/*/logged/data/model.keras",
    "golden answers": "mlartifacts/**/golden.npz",
    "copy of the golden answers": "store/models/*/golden.npz",
    "manifest of the snapshot": "store/snapshots/*/manifest.json",
    "snapshot": "store/snapshots/*/items/*.parquet",
    "rejected items": "store/snapshots/*/rejected.parquet",
}


@dataclass(frozen=True)
class Signed:
    """A home, and the signed bundle of its version."""

    settings: Settings
    bundle: Path
    with_key: Settings


@pytest.fixture(scope="module")
def signed(first, copy_of, tmp_path_factory):
    place = tmp_path_factory.mktemp("signed")
    private, public = write_keys(place / "keys")
    project, folder = first[0].project, copy_of(first[0].path, place / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
        patch.setenv("HEADRACE_HOME", str(folder))
        settings = Settings(project=project, home=folder, user="ada@lab")
        output = place / "blobs-1.tar"
        bundle("blobs/1", output, settings)
        key = {"verify_key_file": str(public)}
        yield Signed(settings, output, settings.model_copy(update=key))


def places(size):
    """Places of a file: the first and the last byte, and others between."""
    step = max(1, (size - 1) // max(1, PLACES - 1))
    return sorted({*range(0, size, step), size - 1})[-PLACES:] if size else []


@contextlib.contextmanager
def flipped(file, place):
    """A file with one bit changed, until the block ends."""
    data = file.read_bytes()
    changed = bytearray(data)
    changed[place] ^= 1
    file.write_bytes(changed)
    try:
        yield
    finally:
        file.write_bytes(data)


def test_nothing_is_found_where_nothing_was_changed(signed):
    found = verify(signed.settings)
    assert (found.status, found.missing) == ("ok", {}), found
    assert found.checked == {"snapshots": 1, "golden answers": 1, "models": 1}
    checked = check_bundle(signed.bundle, signed.with_key)
    assert (checked.status, checked.signature) == ("ok", "valid")


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_of_a_file_is_found(signed, kind):
    file = sorted(signed.settings.home.glob(KINDS[kind]))[0]
    for place in places(file.stat().st_size):
        with flipped(file, place):
            found = verify(signed.settings)
        assert found.problem is not None, place
        folder = file.parents[1].name if "items" in file.parts else file.name
        assert folder in found.problem.message, (place, found.problem)


@pytest.mark.parametrize("name", [MODEL, CARD, PACKAGES, EVIDENCE, "golden.npz"])
def test_a_changed_byte_of_a_file_in_a_bundle_is_found(signed, name):
    data = signed.bundle.read_bytes()
    first = data.index(f"blobs-1/{name}\0".encode()) + 512
    size = int(data[first - 512 + 124 :][:11], 8)
    for place in places(size):
        with flipped(signed.bundle, first + place):
            found = check_bundle(signed.bundle, signed.settings)
        assert found.status == "broken", place
        assert name in found.reason


def test_a_changed_byte_anywhere_in_a_bundle_is_found(signed):
    for place in places(signed.bundle.stat().st_size):
        with flipped(signed.bundle, place):
            assert check_bundle(signed.bundle, signed.with_key).status == "broken"
