"""The content of a bundle, each part compared with what the ledger has of it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError
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
from headrace.state.anchored import AnchoredStore
from headrace.state.backbones import of_version
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.tracking import REPORT_FILE, Tracking
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


class Packing:
    """The content of a bundle.

    Attributes:
        engines: sha256 of the files of each engine, by name.
    """

    def __init__(self, version: Version, home: Home) -> None:
        self.engines: dict[str, dict[str, str]] = {}
        self._version, self._home = version, home

    def files(self, *, is_signed: bool) -> dict[str, bytes]:
        """All files but the signature of the whole, by name.

        Args:
            is_signed: whether there will be one.
        """
        version, name = self._version, f"{self._version.model}/{self._version.version}"
        files = {**self._model(), **self._engine(), **self._golden()}
        record, recorded = self._record()
        files |= record
        snapshot = SnapshotRecord.model_validate_json(
            record[f"reproduction/{ingredients.SNAPSHOT}"]
        )
        backbone = of_version(version, self._home)
        bill = bill_of_materials(version, snapshot, recorded, self.engines, backbone)
        files[CARD] = card_page(version, self._home.tracking, self._home.anchored)
        files[EVIDENCE] = as_json(self._evidence())
        files[BILL] = as_json(bill)
        files["README.txt"] = readme(name, is_signed=is_signed).encode()
        facts = {
            n: BundledFile(sha256=sha256_of(d), bytes=len(d)) for n, d in files.items()
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
            must_be_signed=is_wanted(version, self._home.ledger),
            files=dict(sorted(facts.items())),
        )
        files[MANIFEST] = as_json(manifest.model_dump(mode="json"))
        return files

    def _model(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            folder = Path(place)
            fetch_copy(self._version, folder, self._home.store)
            names = copied_files(self._version)
            return {f"model/{name}": (folder / name).read_bytes() for name in names}

    def _engine(self) -> dict[str, bytes]:
        admitted = kept_engine(self._version, self._home.settings)
        if admitted is None:
            return {}
        name = admitted.result.engine
        files, self.engines[name] = exported_files(self._version, admitted)
        return {f"engines/{name}/{file}": data for file, data in files.items()}

    def _golden(self) -> dict[str, bytes]:
        """The script that replays the golden answers, and what it needs."""
        version = self._version
        description = version.description
        golden = Golden.read(golden_bytes(version, self._home.settings))
        dtype = asked(description).raw(golden.items[:1]).dtype
        kind = "string" if dtype.kind in "OSU" else dtype.name
        data = replayable(golden, description, kind)
        digests = {"golden.npz": sha256_of(data)}
        for name, digest in copied_files(version).items():
            digests[f"model/{name}"] = digest
        facts = {
            "model": version.model,
            "version": version.version,
            "format": "keras",
            "tolerance": TOLERANCE,
            "files": digests,
        }
        return {
            "golden.npz": data,
            CHECK: check_script(),
            FACTS: as_json(facts),
        }

    def _record(self) -> tuple[dict[str, bytes], Ingredients]:
        """The record of the run from which it can be trained again, checked."""
        run = self._home.tracking.find_run(self._version.run_id)
        digest = run.tags.get(ingredients.TAG, "")
        if not digest:
            raise IntegrityError(
                f"The run {run.run_id} has no record of its ingredients.",
                "Train again; the new version can be bundled.",
            )
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            contents: dict[str, bytes] = {}

            def read(path: str) -> bytes:
                contents[path] = self._home.tracking.run_file(run.run_id, path)
                return contents[path]

            restored = ingredients.restore(Path(place), digest, read)
        files = {f"reproduction/{path}": data for path, data in contents.items()}
        return files, restored.ingredients

    def _evidence(self) -> dict[str, Any]:
        """The rows of the ledger that are about the version."""
        ledger, version = self._home.ledger, self._version
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


def card_page(version: Version, tracking: Tracking, anchored: AnchoredStore) -> bytes:
    """The page of a version, HTML: the report of its run.

    Raises:
        IntegrityError: there is none.
    """
    page = anchored.read(card_key(version.run_id))
    return page if page is not None else tracking.run_file(version.run_id, REPORT_FILE)


def sha256_of(data: bytes) -> str:
    """sha256 of some bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def readme(name: str, *, is_signed: bool) -> str:
    """The text of the README.

    Args:
        name: ``MODEL/VERSION``.
        is_signed: whether the bundle has a signature.
    """
    return _README.format(name=name, signature=_SIGNED if is_signed else "")
