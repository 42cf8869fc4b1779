"""Restores what a version has beside its model: its other files, run and data.

Files come from the store's copies, checked against the ledger. The data is read again
from its source. What MLflow has deleted for good is not restored.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from headrace.data.corrections import corrections_of
from headrace.errors import HeadraceError, IntegrityError
from headrace.evidence.verification.versions import data_mismatch, manifest_digest
from headrace.models.logged.soundness.copies import copy_key
from headrace.stages import ingredients
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.store import Store
from headrace.state.tracking import MODEL_FILE, REPORT_FILE
from headrace.state.tracking.artifacts import (
    how_changed,
    local_path,
    model_places,
    put,
    run_places,
)


def restore_others(version: Version, home: Home) -> tuple[list[str], list[str]]:
    """Restore a version's run, its files beside the model, and its data.

    Returns:
        the steps done, in words, and why something could not be restored.

    Raises:
        IntegrityError: the ledger's rows were changed.
        DependencyError: the ledger does not answer.
    """
    if problem := home.ledger.walk_chain().problem:
        raise IntegrityError(
            f"The ledger {home.settings.database_url} was changed: {problem}.",
            "Restore it from a backup.",
        )
    done: list[str] = []
    problems: list[str] = []
    for step in (_undelete, _restore_files, restore_data):
        try:
            done += step(version, home)
        except HeadraceError as error:
            problems.append(str(error))
    return done, problems


def _undelete(version: Version, home: Home) -> list[str]:
    tracking = home.tracking
    if tracking.is_deleted(version.run_id) and tracking.undelete(version.run_id):
        return ["undeleted its run"]
    return []


def _restore_files(version: Version, home: Home) -> list[str]:
    """Write the report and the logged files beside the model back from the store."""
    done = []
    for place, path, digest, key in _files(version, home):
        if not how_changed(f"{place}/{path}", digest):
            continue
        with contextlib.suppress(FileNotFoundError):
            content = home.store.read(key, digest)
            if hashlib.sha256(content).hexdigest() == digest:
                with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
                    file = Path(folder, "file")
                    file.write_bytes(content)
                    put(home.tracking.uri, place, path, file)
                done.append(f"put {path} back from the store's copy")
    return done


def _files(version: Version, home: Home) -> Iterator[tuple[str, str, str, str]]:
    """(folder, path, digest, key of the copy) of each such file on this machine."""
    artifacts, card = home.settings.artifacts, card_key(version.run_id)
    run, model = run_places(version, artifacts)[0], model_places(version, artifacts)[0]
    if (report := home.ledger.anchors([card]).get(card)) and local_path(run):
        yield run, REPORT_FILE, report, card
    for path, digest in version.details.get("files", {}).items():
        if path != MODEL_FILE and local_path(model):
            yield model, path, digest, copy_key(version, f"logged/{path}")


def restore_data(version: Version, home: Home) -> list[str]:
    """Read a version's data again from its source, if its snapshot is damaged.

    The snapshot is made in a temporary folder. Its files replace those in the store
    only if they have the digests that were recorded.

    Returns:
        the steps done, in words.

    Raises:
        IntegrityError: the source gives other data now.
        HeadraceError: the source or the record of the run cannot be read.
    """
    mismatch = next(data_mismatch(version, home), None)
    if mismatch is None:
        return []
    from headrace.stages.ingestion import ingest

    tracking, store = home.tracking, home.store
    key = f"snapshots/{version.snapshot_digest}"
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        run = tracking.find_run(version.run_id)
        read = partial(tracking.run_file, run.run_id)
        place = Path(folder, "run")
        spec = ingredients.restore(place, run.tags[ingredients.TAG], read).spec
        made = Store(str(Path(folder, "store")))
        recorded = version.details.get("snapshot", {})
        used = recorded.get("corrections", "")
        corrected = corrections_of(home.anchored, spec.name, used)
        data = spec.data, spec.medium
        snapshot = ingest(*data, made, home.settings, spec.task, corrected)
        now = snapshot.digest, snapshot.manifest_sha256
        if now != (version.snapshot_digest, manifest_digest(version, home.ledger)):
            raise IntegrityError(
                f"{mismatch.message} Its source {spec.data.source} gives other data "
                "now.",
                "Restore the snapshot from a backup.",
            )
        for name in made.keys():
            if name.startswith(f"{key}/"):
                store.write(name, made.read(name))
    return [f"read the data again from {spec.data.source}; it is the same"]
