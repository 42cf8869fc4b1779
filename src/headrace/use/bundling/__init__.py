"""``headrace bundle``: a version with all that proves it, in one file.

The file is checked elsewhere by ``headrace verify FILE``, without a home. What is in it
was compared with the ledger; equal records give equal bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from headrace.data.anchored import AnchoredStore
from headrace.errors import IntegrityError, NotFoundError, UsageError
from headrace.models.engines.files import golden_bytes
from headrace.models.engines.forms import TOLERANCE, Golden
from headrace.models.logged.soundness.copies import copied_files, fetch_copy
from headrace.models.logged.soundness.signing import read_signature
from headrace.records import DataDescription, Record, SnapshotRecord
from headrace.settings import Settings
from headrace.stages import ingredients
from headrace.stages.ingredients import Ingredients
from headrace.stages.promotion.signed import is_wanted, require_signed
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.ledger import Ledger, Version
from headrace.state.signing.configuration import check_keys
from headrace.state.signing.keys import SigningKey
from headrace.state.signing.statements import sign_folder
from headrace.state.store import Store
from headrace.state.tracking import Tracking
from headrace.tasks import asked
from headrace.use.bundling.archive import write_archive
from headrace.use.bundling.bill import bill_of_materials
from headrace.use.bundling.manifest import (
    BILL,
    CARD,
    EVIDENCE,
    MANIFEST,
    MODEL_SIGNATURE,
    SIGNATURE,
    File,
    Manifest,
    as_json,
)
from headrace.use.bundling.readme import readme
from headrace.use.exporting import (
    CHECK,
    FACTS,
    check_script,
    exported_files,
    kept_engine,
    replayable,
)
from headrace.use.reporting import REPORT, card_key


class Bundled(Record):
    """What was written.

    Attributes:
        output: the file.
        bytes: its size.
        sha256: of the file.
        files: sha256 by name, of what is in it.
        engines: the names of the engines in it.
        signed_by: the id of the key that signed it; empty if none did.
    """

    model: str
    version: int
    status: str = "ok"
    output: str
    bytes: int
    sha256: str
    files: Mapping[str, str]
    engines: tuple[str, ...]
    signed_by: str


def bundle(name: str, output: Path, settings: Settings) -> Bundled:
    """Write a version and its proofs to a new file, as a whole or not at all.

    Args:
        name: ``MODEL`` or ``MODEL@champion`` for its champion, or ``MODEL/VERSION``.
        output: the file, a tar archive; it must not exist.

    Raises:
        NotFoundError: there is no such version.
        UsageError: the file exists or cannot be written, or a key cannot be used.
        IntegrityError: what belongs to the version is gone or changed, or the law wants
            a signature that it has not.
        DependencyError: the ledger, the store, MLflow or a disk failed.
    """
    key, _ = check_keys(settings)
    if not settings.home.is_dir() and settings.database_url.startswith("sqlite"):
        raise NotFoundError(
            f"There is no home at {settings.home}, so there is no model {name!r}.",
            "Run `headrace run` first, or set HEADRACE_HOME.",
        )
    output = output.absolute()
    if output.exists() or output.is_symlink():
        raise UsageError(f"{output} exists.", "Name a new file with --output.")
    ledger = Ledger(settings.database_url)
    version = ledger.find(name)
    require_signed(version, settings, ledger)
    if key is None and is_wanted(version, ledger):
        raise UsageError(
            f"The pipeline file of {version.model} wants a signature "
            "(promotion.signed), and no signing key is set.",
            "Set HEADRACE_SIGNING_KEY_FILE.",
        )
    packing = _Packing(version, settings, ledger)
    files = packing.files(is_signed=key is not None)
    folder = f"{version.model}-{version.version}"
    if key is not None:
        files[SIGNATURE] = _signature(files, folder, key, packing.anchored)
    with disk_errors(str(output.parent)), _new_file(output) as temporary:
        with temporary.open("wb") as stream:
            write_archive(stream, folder, files)
    data = output.read_bytes()
    return Bundled(
        model=version.model,
        version=version.version,
        output=str(output),
        bytes=len(data),
        sha256=_sha256(data),
        files={name: _sha256(data) for name, data in sorted(files.items())},
        engines=tuple(sorted(packing.engines)),
        signed_by=key.id if key else "",
    )


class _Packing:
    """The content of a bundle.

    Attributes:
        engines: sha256 of the files of each engine, by name.
    """

    def __init__(self, version: Version, settings: Settings, ledger: Ledger) -> None:
        self.engines: dict[str, dict[str, str]] = {}
        self.anchored = AnchoredStore(Store(settings.store), ledger)
        self._version, self._settings, self._ledger = version, settings, ledger
        self._tracking = Tracking(settings)

    def files(self, *, is_signed: bool) -> dict[str, bytes]:
        """All files but the signature of the whole, by name.

        Args:
            is_signed: whether there will be one.
        """
        version, name = self._version, f"{self._version.model}/{self._version.version}"
        files = {**self._model(), **self._engine(), **self._golden()}
        record, recorded = self._record()
        files |= record
        signature = read_signature(version, self._settings, self._ledger)
        if signature is not None:
            files[MODEL_SIGNATURE] = signature
        standing = self._ledger.standing_evidence(version.model, version.version)
        snapshot = SnapshotRecord.model_validate_json(
            record[f"reproduction/{ingredients.SNAPSHOT}"]
        )
        bill = bill_of_materials(version, snapshot, recorded, standing, self.engines)
        files[CARD] = card_page(version, self._tracking, self.anchored)
        files[EVIDENCE] = as_json(self._evidence())
        files[BILL] = as_json(bill)
        made = {MODEL_SIGNATURE: signature, SIGNATURE: is_signed}
        signatures = [name for name, is_made in made.items() if is_made]
        files["README.txt"] = readme(name, signatures).encode()
        facts = {n: File(sha256=_sha256(d), bytes=len(d)) for n, d in files.items()}
        manifest = Manifest(
            model=version.model,
            version=version.version,
            model_digest=version.model_digest,
            golden_digest=version.golden_digest,
            weights_digest=version.weights_digest,
            snapshot_digest=version.snapshot_digest,
            created=version.created,
            must_be_signed=is_wanted(version, self._ledger),
            files=dict(sorted(facts.items())),
        )
        files[MANIFEST] = as_json(manifest.model_dump(mode="json"))
        return files

    def _model(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            folder = Path(place)
            fetch_copy(self._version, folder, self._settings)
            names = copied_files(self._version)
            return {f"model/{name}": (folder / name).read_bytes() for name in names}

    def _engine(self) -> dict[str, bytes]:
        admitted = kept_engine(self._version, self._settings)
        if admitted is None:
            return {}
        name = admitted.result.engine
        files, self.engines[name] = exported_files(self._version, admitted)
        return {f"engines/{name}/{file}": data for file, data in files.items()}

    def _golden(self) -> dict[str, bytes]:
        """The script that replays the golden answers, and what it needs."""
        version = self._version
        description = DataDescription.model_validate(version.details["description"])
        golden = Golden.read(golden_bytes(version, self._settings))
        dtype = asked(description).raw(golden.items[:1]).dtype
        kind = "string" if dtype.kind in "OSU" else dtype.name
        data = replayable(golden, description, kind)
        digests = {"golden.npz": _sha256(data)}
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
        run = self._tracking.find_run(self._version.run_id)
        digest = run.tags.get(ingredients.TAG, "")
        if not digest:
            raise IntegrityError(
                f"The run {run.run_id} has no record of its ingredients.",
                "Train again; the new version can be bundled.",
            )
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            seen: dict[str, bytes] = {}

            def read(path: str) -> bytes:
                seen[path] = self._tracking.run_file(run.run_id, path)
                return seen[path]

            restored = ingredients.restore(Path(place), digest, read)
        files = {f"reproduction/{path}": data for path, data in seen.items()}
        return files, restored.ingredients

    def _evidence(self) -> dict[str, Any]:
        """The rows of the ledger that are about the version."""
        ledger, version = self._ledger, self._version
        model, number = version.model, version.version
        entries = [
            entry
            for entry in ledger.history(model)
            if number in (entry.from_version, entry.to_version)
        ]
        rows: dict[str, Sequence[Record]] = {
            "evidence": ledger.evidence_of(model, number),
            "history": entries,
            "approvals": [a for a in ledger.approvals(model) if a.version == number],
            "bindings": [b for b in ledger.bindings(model) if b.version == number],
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
    return page if page is not None else tracking.run_file(version.run_id, REPORT)


def _signature(
    files: Mapping[str, bytes], folder: str, key: SigningKey, anchored: AnchoredStore
) -> bytes:
    """The signature of all files; for equal files the one that was made before.

    A signature has a random part, so a new one would be another file.
    """
    place = f"signatures/bundle-{_sha256(files[MANIFEST])}-{key.id[:16]}.sig"
    if known := anchored.read(place):
        return known
    with tempfile.TemporaryDirectory(prefix="headrace-") as temporary:
        root = Path(temporary) / folder
        for name, data in files.items():
            path = root / PurePosixPath(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        signature = sign_folder(root, key)
    anchored.write(place, signature)
    return signature


@contextlib.contextmanager
def _new_file(output: Path) -> Any:
    """A temporary file that becomes ``output``; raises UsageError where it cannot."""
    try:
        with atomic_file(output) as temporary:
            temporary.touch(0o600)
            yield temporary
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise UsageError(
                f"{output} cannot be written: {error.strerror}.",
                "Name with --output a new file where you may write.",
            ) from None
        raise


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
