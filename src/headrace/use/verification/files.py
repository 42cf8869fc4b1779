"""The files of the store, checked against the ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from headrace.data.anchored import described
from headrace.data.snapshots.reading import check_snapshot
from headrace.errors import IntegrityError
from headrace.progress import counted
from headrace.records import MANIFEST
from headrace.state.ledger import Ledger
from headrace.state.store import Store
from headrace.use.verification.report import Broken, Report

_REMEDY = (
    "Somebody has written to the store. Delete this file and run the pipeline again, "
    "which makes it anew; and change who may write there."
)

_KINDS = {
    "stages": "stage records",
    "pipelines": "last records of pipelines",
    "quarantine": "quarantines",
    "trainings": "requests and answers of other pools",
}


def check_files(
    store: Store, ledger: Ledger, model: str, models: Collection[str], report: Report
) -> dict[str, str]:
    """Compare every file whose sha256 is in the ledger.

    Args:
        store, ledger: what is compared.
        model: check only its files; empty for all.
        models: whose champions must have their data.
        report: its counts are updated.

    Returns:
        the sha256 of the golden answers that trainings recorded, by MLflow run.

    Raises:
        Broken: at the first mismatch.
    """
    anchors = ledger.anchors()
    wanted = _of_model(ledger, model, anchors) if model else anchors
    needed = _champions_data(ledger, models)
    golden: dict[str, str] = {}
    for key, digest in counted(wanted.items(), "verify", "files"):
        kind = _KINDS.get(key.partition("/")[0], key.partition("/")[0])
        try:
            data = store.read(key)
        except FileNotFoundError:
            if kind != "checkpoints":  # they are deleted after their training
                report.missing[kind] += 1
            if key in needed:
                name = needed[key].partition("/")[0]
                raise Broken(
                    "store",
                    f"{store.uri(key)} is gone: the data of {needed[key]}, the "
                    "champion.",
                    f"Run `headrace run {name}`, which reads the data again.",
                ) from None
            continue
        saved = _parsed(data) if kind == _KINDS["stages"] else {}
        if model and saved and saved.get("pipeline") != model:
            continue
        _compare(store, key, data, digest)
        report.checked[kind] += 1
        record = saved.get("record")
        if saved.get("stage") == "train" and isinstance(record, dict):
            golden[str(record.get("run_id"))] = str(record.get("golden_digest"))
    return golden


def _compare(store: Store, key: str, data: bytes, digest: str) -> None:
    """Compare a file with its digest; a snapshot is read to the last item."""
    actual = hashlib.sha256(data).hexdigest()
    if actual != digest:
        what = (
            f"{store.uri(key)} was changed: it has sha256 {actual[:16]}..., and "
            f"the ledger recorded {digest[:16]}...."
        )
        raise Broken("store", what, _REMEDY)
    folder, _, name = key.rpartition("/")
    if name != MANIFEST:
        return
    try:
        snapshot = described(data, store.uri(folder))
        check_snapshot(
            snapshot.model_copy(update={"digest": folder.rpartition("/")[2]})
        )
    except IntegrityError as error:
        raise Broken("store", error.message, error.action) from error
    except ValueError as error:
        what = f"{store.uri(key)} cannot be read: {error}."
        raise Broken("store", what, _REMEDY) from error


def _of_model(ledger: Ledger, model: str, anchors: Mapping[str, str]) -> dict[str, str]:
    """The files that may belong to a model; stage records are told by content."""
    snapshots = {version.snapshot_digest for version in ledger.versions(model)}
    beginnings = (
        "stages/",
        f"pipelines/{model}/",
        f"backfills/{model}/",
        *(f"snapshots/{digest}/" for digest in snapshots),
        *(f"quarantine/{digest[:16]}-" for digest in snapshots),
    )
    return {key: sha for key, sha in anchors.items() if key.startswith(beginnings)}


def _champions_data(ledger: Ledger, models: Collection[str]) -> dict[str, str]:
    """The manifests that must exist, each with the name of a champion."""
    manifests: dict[str, str] = {}
    for model in models:
        champion = ledger.champion(model)
        if champion is not None:
            place = f"snapshots/{champion.version.snapshot_digest}/{MANIFEST}"
            manifests[place] = f"{model}/{champion.version.version}"
    return manifests


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
