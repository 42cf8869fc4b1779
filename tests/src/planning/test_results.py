"""`headrace.planning.results`: what is kept is read where the home is now."""

import shutil
from pathlib import Path
from typing import Any

from headrace.data.snapshots.splits import quarantine_name
from headrace.planning import Plan
from headrace.records import ContractRecord, SnapshotRecord
from headrace.settings import Settings
from headrace.state.home import Home

Trained = Any


def test_a_moved_home_has_its_snapshots_and_quarantines(trained, tmp_path):
    plan = Plan(trained.spec, trained.folder, trained.home)
    data = b"rows"
    uri = plan.home.store.write(f"quarantine/q{quarantine_name(data)}", data)
    docs = plan.home.store.write("data_docs/d/index.html", b"<html>")
    contract = trained.contract.model_copy(
        update={"quarantine_uri": uri, "docs_uri": docs, "quarantined": 1}
    )
    ingest, validate = plan.ingest(), plan.validate(trained.snapshot)
    plan.save(ingest, trained.snapshot, 1.0)
    plan.save(validate, contract, 1.0)
    shutil.move(trained.settings.home, tmp_path / "moved")

    settings = Settings(project=trained.settings.project, home=tmp_path / "moved")
    moved = Plan(trained.spec, trained.folder, Home(settings))
    snapshot = moved.find(ingest, SnapshotRecord)
    found = moved.find(validate, ContractRecord)
    assert snapshot is not None
    assert found is not None
    for place in (
        f"{snapshot.uri}/manifest.json",
        found.quarantine_uri,
        found.docs_uri,
    ):
        assert place.startswith(str(tmp_path / "moved"))
        assert Path(place).is_file()
    assert moved.train(snapshot, found).fingerprint == (
        plan.train(trained.snapshot, contract).fingerprint
    )
