"""The content of a bundle, each part compared with what the ledger has of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headrace.display.pages import render
from headrace.evidence.bundling.archive import as_json
from headrace.evidence.reproduction import recorded
from headrace.models.engines.forms import TOLERANCE
from headrace.models.engines.stored import golden_bytes
from headrace.models.logged.copies import copied_files, fetch_copy
from headrace.models.logged.golden import Golden
from headrace.records import Record
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import REPORT_FILE
from headrace.tasks import asked
from headrace.use.exporting import (
    CHECK,
    FACTS,
    check_script,
    exported_files,
    kept_engine,
    replayable,
)

CARD, EVIDENCE, PACKAGES = "card.html", "evidence.json", "requirements.txt"


def write_contents(version: Version, home: Home, folder: Path) -> None:
    """Write the files of a bundle to an empty folder, without manifest and signature.

    Raises:
        IntegrityError: something is gone or changed.
        DependencyError: the ledger, the store or MLflow failed.
    """
    name, run_id = f"{version.model}/{version.version}", version.run_id
    fetch_copy(version, folder / "model", home.store)
    run = home.tracking.find_run(run_id)
    record = recorded(run, home, folder / "reproduction")
    packages = "\n".join([*record.ingredients.distributions, ""])
    page = home.store.find(card_key(run_id))
    files = {
        **_engine(version, home),
        **_golden(version, home),
        CARD: page or home.tracking.run_file(run_id, REPORT_FILE),
        EVIDENCE: as_json(_evidence(version, home.ledger)),
        PACKAGES: packages.encode(),
        "README.txt": f"{render('bundle.txt', name=name)}\n".encode(),
    }
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def _engine(version: Version, home: Home) -> dict[str, bytes]:
    """The engine that the store has, as `headrace export` writes it."""
    admitted = kept_engine(version, home.settings)
    if admitted is None:
        return {}
    files, _ = exported_files(version, admitted)
    return {f"engines/{admitted.result.engine}/{name}": files[name] for name in files}


def _golden(version: Version, home: Home) -> dict[str, bytes]:
    """The script that replays the golden answers, and what it needs."""
    description = version.description
    golden = Golden.read(golden_bytes(version, home.settings))
    dtype = asked(description).raw(golden.items[:1]).dtype
    kind = "string" if dtype.kind in "OSU" else dtype.name
    data = replayable(golden, description, kind)
    copied = copied_files(version).items()
    facts = {
        "model": version.model,
        "version": version.version,
        "format": "keras",
        "tolerance": TOLERANCE,
        "files": {
            "golden.npz": hashlib.sha256(data).hexdigest(),
            **{f"model/{name}": digest for name, digest in copied},
        },
    }
    return {"golden.npz": data, CHECK: check_script(), FACTS: as_json(facts)}


def _evidence(version: Version, ledger: Ledger) -> dict[str, Any]:
    """The rows of the ledger that are about a version."""
    model, number = version.model, version.version
    history = ledger.history(model)
    rows: dict[str, Iterable[Record]] = {
        "evidence": ledger.evidence_of(model, number),
        "history": [h for h in history if number in (h.from_version, h.to_version)],
        "approvals": [a for a in ledger.approvals(model) if a.version == number],
    }
    shown = {name: [one.model_dump(mode="json") for one in rows[name]] for name in rows}
    return {"version": version.model_dump(mode="json"), **shown}
