"""The content of a bundle, each part compared with what the ledger has of it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError
from headrace.evidence.bundling.archive import files_in
from headrace.evidence.bundling.bill import bill_of_materials
from headrace.evidence.bundling.manifest import (
    BILL,
    CARD,
    EVIDENCE,
    MANIFEST,
    BundledFile,
    Manifest,
    as_json,
)
from headrace.explanations.checked import find_check
from headrace.models.engines.files import golden_bytes
from headrace.models.engines.forms import TOLERANCE
from headrace.models.logged.golden import Golden
from headrace.models.logged.soundness.copies import copied_files, fetch_copy
from headrace.records import Record, SnapshotRecord
from headrace.stages import ingredients
from headrace.stages.ingredients import Ingredients
from headrace.stages.promotion.signed import is_wanted
from headrace.state.backbones import of_version
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.regular import file_digest
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

_README = """\
{name}: a model with all that proves it

manifest.json   what this is, and the sha256 and size of every other file
model/          the model (Keras) and its golden answers
engines/        the same model for other runtimes; each has a README.txt
card.html       the page of its training: data, recipe, metrics, gates
bom.cdx.json    bill of materials, CycloneDX 1.6: libraries, data, licences
evidence.json   the rows of the ledger: the version, its evidence, its promotions
reproduction/   the record from which Headrace trains it again
check.py        replays the golden answers: python check.py

Check this archive before it is unpacked, with Headrace and without a network:

    HEADRACE_VERIFY_KEY_FILE=PUBLIC.pem headrace verify FILE
{signature}
To replay the golden answers, check.py needs numpy and tensorflow, Headrace if the
model has layers of its own, and keras-hub, tensorflow-text and safetensors if it begins
with a pretrained encoder; engines/*/check.py only numpy and that engine's library.
"""
_SIGNED = """
The signature is in the format of OpenSSF Model Signing. After unpacking, it can be
checked with its command line (pip install model-signing pyOpenSSL):

    model_signing verify key . --signature bundle.sig --ignore-paths bundle.sig \\
        --public_key KEY
"""


def pack(version: Version, home: Home, folder: Path, *, is_signed: bool) -> list[str]:
    """Write all files of a bundle but its signature.

    Args:
        version: to bundle.
        home: with all that belongs to it.
        folder: empty.
        is_signed: whether there will be a signature.

    Returns:
        the names of the engines in it.

    Raises:
        IntegrityError: something is gone or changed.
    """
    ledger, name = home.ledger, f"{version.model}/{version.version}"
    fetch_copy(version, folder / "model", home.store)
    engines = _pack_engine(version, home, folder)
    _write(folder, _golden(version, home))
    record, recorded = _record(version, home)
    _write(folder, record)
    snapshot = SnapshotRecord.model_validate_json(
        record[f"reproduction/{ingredients.SNAPSHOT}"]
    )
    backbone = of_version(version, home)
    bill = bill_of_materials(version, snapshot, recorded, engines, backbone)
    page = home.anchored.read(card_key(version.run_id))
    files = {
        CARD: page or home.tracking.run_file(version.run_id, REPORT_FILE),
        EVIDENCE: as_json(_evidence(version, ledger)),
        BILL: as_json(bill),
        "README.txt": readme(name, is_signed=is_signed).encode(),
    }
    _write(folder, files)
    facts = {
        name: BundledFile(sha256=file_digest(path), bytes=path.stat().st_size)
        for name, path in sorted(files_in(folder).items())
    }
    manifest = Manifest(
        model=version.model,
        version=version.version,
        model_digest=version.model_digest,
        golden_digest=version.golden_digest,
        weights_digest=version.weights_digest,
        snapshot_digest=version.snapshot_digest,
        created=version.created,
        backbone=backbone,
        must_be_signed=is_wanted(version, ledger),
        files=facts,
    )
    _write(folder, {MANIFEST: as_json(manifest.model_dump(mode="json"))})
    return sorted(engines)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _pack_engine(
    version: Version, home: Home, folder: Path
) -> dict[str, dict[str, str]]:
    """Write the engine that the store has; sha256 of its files, by its name."""
    admitted = kept_engine(version, home.settings)
    if admitted is None:
        return {}
    name = admitted.result.engine
    files, digests = exported_files(version, admitted)
    _write(folder / "engines" / name, files)
    return {name: digests}


def _golden(version: Version, home: Home) -> dict[str, bytes]:
    """The script that replays the golden answers, and what it needs."""
    description = version.description
    golden = Golden.read(golden_bytes(version, home.settings))
    dtype = asked(description).raw(golden.items[:1]).dtype
    kind = "string" if dtype.kind in "OSU" else dtype.name
    data = replayable(golden, description, kind)
    digests = {"golden.npz": hashlib.sha256(data).hexdigest()}
    for name, digest in copied_files(version).items():
        digests[f"model/{name}"] = digest
    facts = {
        "model": version.model,
        "version": version.version,
        "format": "keras",
        "tolerance": TOLERANCE,
        "files": digests,
    }
    return {"golden.npz": data, CHECK: check_script(), FACTS: as_json(facts)}


def _record(version: Version, home: Home) -> tuple[dict[str, bytes], Ingredients]:
    """The record of the run from which it can be trained again, checked."""
    run = home.tracking.find_run(version.run_id)
    digest = run.tags.get(ingredients.TAG, "")
    if not digest:
        raise IntegrityError(
            f"The run {run.run_id} has no record of its ingredients.",
            "Train again; the new version can be bundled.",
        )
    contents: dict[str, bytes] = {}

    def read(path: str) -> bytes:
        contents[f"reproduction/{path}"] = data = home.tracking.run_file(
            run.run_id, path
        )
        return data

    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        return contents, ingredients.restore(Path(place), digest, read).ingredients


def _evidence(version: Version, ledger: Ledger) -> dict[str, Any]:
    """The rows of the ledger that are about a version."""
    model, number = version.model, version.version
    entries = [
        entry
        for entry in ledger.history(model)
        if number in (entry.from_version, entry.to_version)
    ]
    check = find_check(ledger, model, number)
    rows: dict[str, Sequence[Record]] = {
        "evidence": ledger.evidence_of(model, number),
        "history": entries,
        "approvals": [a for a in ledger.approvals(model) if a.version == number],
        "map_checks": [check] if check else [],
    }
    return {"version": version.model_dump(mode="json")} | {
        name: [row.model_dump(mode="json") for row in some]
        for name, some in rows.items()
    }


def readme(name: str, *, is_signed: bool) -> str:
    """The text of the README.

    Args:
        name: ``MODEL/VERSION``.
        is_signed: whether the bundle has a signature.
    """
    return _README.format(name=name, signature=_SIGNED if is_signed else "")
