"""The reference profile: made once, kept by digest, made again if it is damaged."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.blobs import blobs

from headrace.data.snapshots.splits import SplitRows, quarantine_name
from headrace.errors import IntegrityError
from headrace.monitoring import reference
from headrace.monitoring.reference import (
    ensure_profile,
    find_profile,
    profile_key,
    quarantine_of,
    read_held_out,
    snapshot_of,
)
from headrace.state.home import Home
from headrace.state.tracking import Tracking


def test_a_profile_is_made_of_held_out_rows_and_kept(watched, version):
    assert find_profile(version, watched) is None
    profile = ensure_profile(version, watched)
    snapshot = snapshot_of(version, Home(watched).store)
    held_out = snapshot.rows["test"] + snapshot.rows["val"]
    assert (profile.facts.rows, len(profile.items)) == (held_out, held_out)
    assert profile.facts.model_digest == version.model_digest
    assert profile.facts.score > 0.9
    train = SplitRows(snapshot, "train").items()
    assert not {item.hex() for item in train.tolist()} & set(profile.items.tolist())


def test_a_kept_profile_needs_neither_data_nor_model(watched, version):
    made = ensure_profile(version, watched)
    shutil.rmtree(Path(watched.store) / "snapshots")
    shutil.rmtree(watched.home / "mlartifacts")
    kept = ensure_profile(version, watched)
    assert kept.facts == made.facts
    assert np.array_equal(kept.outputs, made.outputs)


@pytest.mark.system
def test_a_damaged_profile_is_made_again(watched, version):
    made = ensure_profile(version, watched)
    store = Home(watched).store
    good = store.read(profile_key(version))
    store.write(profile_key(version), good[:-99])
    assert find_profile(version, watched) is None
    assert ensure_profile(version, watched).facts == made.facts
    store.write(profile_key(version), b"not a profile")  # as an older format would be
    assert find_profile(version, watched) is None
    assert ensure_profile(version, watched).facts == made.facts


def test_without_its_snapshot_a_version_has_no_reference(watched, version):
    shutil.rmtree(Path(watched.store) / "snapshots")
    with pytest.raises(IntegrityError, match="The snapshot of blobs version 1 is gone"):
        ensure_profile(version, watched)


def test_quarantined_rows_are_no_reference(watched, version, tmp_path):
    snapshot = snapshot_of(version, Home(watched).store)
    rows = SplitRows(snapshot, "test")
    first = next(row for row, split in enumerate(splits(snapshot)) if split == "test")
    frame = pd.DataFrame({"row": [first], "split": ["test"]})
    frame.to_parquet(tmp_path / "q")
    data = (tmp_path / "q").read_bytes()
    place = tmp_path / f"q{quarantine_name(data)}"
    place.write_bytes(data)
    everything, fewer = (read_held_out(snapshot, uri) for uri in ("", str(place)))
    assert len(everything.targets) == len(fewer.targets) + 1
    gone = set(everything.digests.tolist()) - set(fewer.digests.tolist())
    assert gone == {rows.items()[0].hex()}
    assert everything.is_val.sum() == snapshot.rows["val"]


def test_large_items_of_test_leave_room_for_val(watched, version, monkeypatch):
    snapshot = snapshot_of(version, Home(watched).store)
    size = read_held_out(snapshot, "").items[0].nbytes
    monkeypatch.setattr(reference, "MOST_BYTES", size * snapshot.rows["test"] - 1)
    assert read_held_out(snapshot, "").is_val.any()


def splits(snapshot):
    from headrace.data.snapshots.reading import read_shard, shards_of

    return [
        split
        for shard in shards_of(snapshot)
        for split in read_shard(snapshot, shard, ["split"])["split"].to_pylist()
    ]


@pytest.mark.system
def test_the_quarantine_is_that_of_the_training(
    after_first, watched, prefect_server, tmp_path
):
    images, labels = blobs(240)
    images[239] = images[236]  # copies in one split are set aside
    path = tmp_path / "copies.npz"
    train, test = slice(0, 180), slice(180, None)
    np.savez(
        path,
        **{"x_train": images[train], "y_train": labels[train]},
        **{"x_test": images[test], "y_test": labels[test]},
    )
    run = after_first.headrace("run", "blobs", "--data", str(path), "--json").json
    home = Home(watched)
    version = home.ledger.version("blobs", run["version"])
    uri = quarantine_of(version, home.store, home.tracking)
    assert Path(uri).is_file()
    assert (
        len(read_held_out(snapshot_of(version, home.store), uri).targets)
        == run["snapshot"]["rows"]["test"] + run["snapshot"]["rows"]["val"]
    )


def test_without_the_record_of_its_training_the_quarantine_is_unknown(
    watched, version, caplog
):
    lost = version.model_copy(update={"run_id": "0" * 32})
    assert quarantine_of(lost, Home(watched).store, Tracking(watched)) == ""
    assert "rows of its quarantine are in its profile" in caplog.text
