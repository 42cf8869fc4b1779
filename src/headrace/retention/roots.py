"""What is never collected: the roots, and all that they need.

A root is a version in the history, one that waits for approval, the challenger,
whatever is younger than the limit, and the last results of a pipeline. A root needs
its files, runs, data and quarantine: to be loaded, reproduced, verified and repaired.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.planning import StageKey
from headrace.retention import alive
from headrace.stages.promotion.registry import aliases_of
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.ledger.holding import COLLECTING, pipeline_of
from headrace.state.store import Store
from headrace.state.tracking.disposal import StoredModel, StoredRun

BEGUN = "train-begun.json"
DAY_SECONDS = 86_400.0
_FILES = ("run_id", "model_uri", "model_digest")


@dataclass
class Roots:
    """What is kept, by the names that other things refer to it by.

    Attributes:
        versions: (model, number).
        runs: ids of MLflow runs.
        models: ids of logged models.
        digests: sha256 of model files.
        snapshots: digests.
        trainings: fingerprints of those that began last; the next run goes on from
            their checkpoints.
        in_progress: pipelines of runs that are alive.
        is_quiet: whether no run is alive.
        newest: times after this are too young, seconds since 1970.
    """

    in_progress: set[str]
    is_quiet: bool
    newest: float
    versions: set[tuple[str, int]] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    snapshots: set[str] = field(default_factory=set)
    trainings: set[str] = field(default_factory=set)

    def is_young(self, moment: float) -> bool:
        """Whether a time, in seconds since 1970, lies within the limit."""
        return moment > self.newest


def find_roots(
    home: Home,
    runs: list[StoredRun],
    models: list[StoredModel],
    older_days: float,
) -> Roots:
    """The roots at this moment, and all that they need.

    Args:
        runs: all of MLflow's.
        models: all logged models.
        older_days: the age below which all is kept.
    """
    runs_alive = [one for one in alive(home.settings) if one.name != COLLECTING]
    ledger, pipelines = home.ledger, {*map(pipeline_of, runs_alive)}
    newest = time.time() - DAY_SECONDS * older_days
    roots = Roots(pipelines - {""}, not runs_alive, newest)
    for run in runs:
        is_young = roots.is_young(run.ended or run.began)
        if is_young or run.experiment in roots.in_progress:
            roots.runs.add(run.run_id)
    _keep_last_results(home.store, roots)
    for model in ledger.models():
        needed = _needed_versions(model, ledger)
        for version in ledger.versions(model):
            created = datetime.fromisoformat(version.created).timestamp()
            is_used = version.run_id in roots.runs or model in roots.in_progress
            if version.version in needed or is_used or roots.is_young(created):
                _keep_version(version, ledger, roots)
    roots.runs.discard("")
    parents = {run.run_id: run.parent for run in runs}
    roots.runs |= {parents.get(run, "") for run in roots.runs} - {""}
    roots.runs |= {run.run_id for run in runs if run.parent in roots.runs}
    roots.snapshots |= {run.snapshot for run in runs if run.run_id in roots.runs}
    roots.models |= {m.model_id for m in models if m.run_id in roots.runs}
    return roots


def _needed_versions(model: str, ledger: Ledger) -> set[int]:
    """The versions of a model that are needed whatever their age."""
    needed = [n for x in ledger.history(model) for n in (x.from_version, x.to_version)]
    needed += [request.version for request in ledger.waiting(model)]
    needed += aliases_of(model, ledger).values()
    return {number for number in needed if number}


def _keep_version(version: Version, ledger: Ledger, roots: Roots) -> None:
    """Keep a version and its files."""
    roots.versions.add((version.model, version.version))
    roots.snapshots.add(version.snapshot_digest)
    training = version.details.get("training", {})
    evidence = ledger.evidence_of(version.model, version.version)
    roots.snapshots |= {row.snapshot_digest for row in evidence}
    roots.runs |= {row.run_id for row in evidence}
    for files in (version.model_dump(), training):
        run_id, model_uri, digest = (str(files.get(name, "")) for name in _FILES)
        roots.runs.add(run_id)
        roots.models.add(model_uri.rpartition("/")[2])
        roots.digests.add(digest)


def _keep_last_results(store: Store, roots: Roots) -> None:
    """Keep what the last results of all pipelines refer to, and their trainings."""
    for key, saved, record in results_of(store):
        if key.endswith(f"/{BEGUN}"):
            roots.trainings.add(StageKey("train", saved).fingerprint)
        elif key.startswith("pipelines/"):
            roots.trainings.add(str(record.get("fingerprint", "")))
            roots.runs.add(str(record.get("run_id", "")))
            roots.snapshots.add(snapshot_of(record))


def results_of(store: Store) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each stored result of a stage: its key, all of it, and the record in it."""
    pipelines = [f"pipelines/{name}" for name in store.names("pipelines")]
    for folder in ("stages", *pipelines):
        for name in store.names(folder):
            saved = store.read_json(f"{folder}/{name}")
            saved = saved if isinstance(saved, dict) else {}  # it is damaged
            record = saved.get("record")
            yield f"{folder}/{name}", saved, record if isinstance(record, dict) else {}


def snapshot_of(record: Mapping[str, Any]) -> str:
    """The digest of the snapshot that a stage's record is of; empty if of none."""
    return str(record.get("digest") or record.get("snapshot_digest") or "")
