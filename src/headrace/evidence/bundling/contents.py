"""The content of a bundle, each part compared with what the ledger has of it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headrace.evidence.bundling.archive import as_json, files_in
from headrace.evidence.reproduction import recorded
from headrace.explanations.checked import find_check
from headrace.models.engines.files import golden_bytes
from headrace.models.engines.forms import TOLERANCE
from headrace.models.logged.golden import Golden
from headrace.models.logged.soundness.copies import copied_files
from headrace.pages import render
from headrace.records import Record
from headrace.stages import ingredients
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


def contents(version: Version, home: Home) -> dict[str, bytes]:
    """The files of a bundle by name, without the manifest, signature and model.

    Raises:
        IntegrityError: something is gone or changed.
        DependencyError: the ledger, the store or MLflow failed.
    """
    name = f"{version.model}/{version.version}"
    page = home.store.find(card_key(version.run_id))
    return {
        **_engine(version, home),
        **_golden(version, home),
        **_reproduction(version, home),
        CARD: page or home.tracking.run_file(version.run_id, REPORT_FILE),
        EVIDENCE: as_json(_evidence(version, home.ledger)),
        "README.txt": f"{render('bundle.txt', name=name)}\n".encode(),
    }


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


def _reproduction(version: Version, home: Home) -> dict[str, bytes]:
    """The checked record of the run from which it can be trained again."""
    run = home.tracking.find_run(version.run_id)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        folder = Path(place)
        lines = recorded(run, home, folder).ingredients.distributions
        record = home.tracking.run_file(run.run_id, ingredients.FILE)
        files = {name: path.read_bytes() for name, path in files_in(folder).items()}
    return {
        **{f"reproduction/{name}": data for name, data in files.items()},
        f"reproduction/{ingredients.FILE}": record,
        PACKAGES: "".join(f"{line}\n" for line in lines).encode(),
    }


def _evidence(version: Version, ledger: Ledger) -> dict[str, Any]:
    """The rows of the ledger that are about a version."""
    model, number = version.model, version.version
    check = find_check(ledger, model, number)
    rows: dict[str, Iterable[Record]] = {
        "evidence": ledger.evidence_of(model, number),
        "history": [
            entry
            for entry in ledger.history(model)
            if number in (entry.from_version, entry.to_version)
        ],
        "approvals": [a for a in ledger.approvals(model) if a.version == number],
        "map_checks": [check] if check else [],
    }
    return {"version": version.model_dump(mode="json")} | {
        name: [row.model_dump(mode="json") for row in some]
        for name, some in rows.items()
    }
