"""A quarantine is the file that its name says, or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.src.data.snapshots.conftest import quarantine

from headrace.data.snapshots.splits import quarantined_rows, read_quarantine
from headrace.errors import IntegrityError


def test_rows_of_a_split_are_given_in_order(tmp_path: Path) -> None:
    uri = quarantine(tmp_path, {5: "test", 2: "test", 3: "train"})
    assert quarantined_rows(uri, "test").tolist() == [2, 5]
    assert quarantined_rows(uri, "val").tolist() == []
    assert quarantined_rows("", "test").tolist() == []


def test_one_of_an_older_release_is_named_by_sixteen_digits(tmp_path: Path) -> None:
    place = Path(quarantine(tmp_path, {1: "test"}))
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    older = place.rename(tmp_path / f"q-{digest[:16]}.parquet")
    assert quarantined_rows(str(older), "test").tolist() == [1]


@pytest.mark.parametrize("damage", ["another", "cut", "no name", "gone", "a folder"])
def test_any_other_file_is_refused(tmp_path: Path, damage: str) -> None:
    place = Path(quarantine(tmp_path, {1: "test"}))
    if damage == "another":
        other = Path(quarantine(tmp_path / "..", {2: "test"}))
        other.replace(place)
    elif damage == "cut":
        place.write_bytes(place.read_bytes()[:-1])
    elif damage == "no name":
        place = place.rename(tmp_path / "quarantine.parquet")
    else:
        place.unlink()
        if damage == "a folder":
            place.mkdir()
    with pytest.raises(IntegrityError, match=r"that was written|cannot be"):
        quarantined_rows(str(place), "test")
    with pytest.raises(IntegrityError):
        read_quarantine(str(place))
