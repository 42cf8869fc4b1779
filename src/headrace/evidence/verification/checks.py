"""Compares the files of the store, the models and MLflow's registry with the ledger."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headrace.data.anchored import described
from headrace.data.snapshots.reading import check_snapshot, forgotten_of
from headrace.errors import IntegrityError, NotFoundError
from headrace.evidence.reporting import card_key
from headrace.evidence.verification.signatures import check_signature
from headrace.evidence.verification.versions import Place, find_changed
from headrace.models.logged.soundness.signing import signature_key
from headrace.progress import counted
from headrace.records import MANIFEST, Record, Shown
from headrace.settings import Settings
from headrace.stages.promotion import aliases_of
from headrace.state.disk import UnusableFileError
from headrace.state.ledger import Ledger, Version
from headrace.state.ledger.collections import VERSIONS_KIND, version_key
from headrace.state.ledger.decisions import earlier_dates, wrong_verdicts
from headrace.state.signing.keys import TrustedKeys
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, WEIGHTS_TAG, Tracking, version_tags

if TYPE_CHECKING:
    from headrace.state.tracking.models import RegistryVersion

_MEND_STORE = (
    "Somebody has written to the store. Delete this file and run the pipeline again, "
    "which makes it anew; and change who may write there."
)
_MEND_VERDICT = (
    "The code of a gate was changed, or somebody has written to the database. Take the "
    "champion back with `headrace rollback {0} --reason TEXT`, and see who may write "
    "there."
)
_MEND_MLFLOW = "Restore MLflow's database from a backup, and see who may write there."
_KINDS = {
    "stages": "stage records",
    "pipelines": "records of the last stage results",
    "quarantine": "quarantines",
    "tracking": "records of MLflow's entries",
    "trainings": "requests and answers of other pools",
}


class Problem(Record):
    """The first mismatch, and what to do about it."""

    where: Place
    what: Shown
    action: Shown


class Broken(Exception):
    """A mismatch with the ledger, which ends a verification."""

    def __init__(self, where: Place, what: str, action: str) -> None:
        self.problem = Problem(where=where, what=what, action=action)


class Checks:
    """The checks of a verification. Each raises Broken at its first mismatch.

    Attributes:
        checked: how many of each kind, such as ``snapshots``, are as recorded.
        missing: how many of each kind are gone.
        collected: how many of each kind ``headrace gc`` has deleted.
        forgotten: how many rows of each split ``headrace forget`` has taken out of the
            snapshots.
        warnings: sentences on what is no mismatch, and needs a look.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, trusted: TrustedKeys
    ) -> None:
        self._trusted = trusted
        self.checked: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.collected: Counter[str] = Counter()
        self.forgotten: Counter[str] = Counter()
        self.warnings: list[str] = []
        self._ledger = ledger
        self._settings = settings
        self._store = Store(settings.store)

    @cached_property
    def _tracking(self) -> Tracking:
        return Tracking(self._settings)  # it connects to MLflow

    def check_decisions(self, models: Collection[str]) -> None:
        """Compare the recorded verdicts with their numbers, and dates with the order.

        Only a champion must not rest on a wrong verdict: a ledger keeps those of all
        others for good.
        """
        for model in models:
            champion, standing = self._ledger.champion(model), None
            if champion is not None:
                number = champion.version.version
                standing = self._ledger.standing_evidence(model, number)
            for evidence, text in wrong_verdicts(model, self._ledger):
                if evidence == standing:
                    raise Broken("ledger", f"{text}.", _MEND_VERDICT.format(model))
                self.warnings.append(text)
            self.warnings += earlier_dates(model, self._ledger)

    def count_collected(self, models: Collection[str]) -> None:
        """Count what was collected and has not been made again since."""
        anchors = self._ledger.anchors()
        again = {*anchors, *(key.rpartition("/")[0] for key in anchors)}
        current = {
            version_key(version)
            for model in models
            for version in self._ledger.versions(model)
        }
        for key, item in self._ledger.collected().items():
            is_of_version = key.startswith(f"{VERSIONS_KIND}/")
            if key in current if is_of_version else key not in again:
                self.collected[item.kind] += 1

    def check_files(self, model: str, models: Collection[str]) -> None:
        """Compare every file of the store whose sha256 is in the ledger.

        Args:
            model: check only its files; empty for all.
            models: whose champions must have their data.
        """
        needed = self._data_of_champions(models)
        for key, digest in counted(self._anchors(model).items(), "verify", "files"):
            kind = _KINDS.get(key.partition("/")[0], key.partition("/")[0])
            is_parsed = kind == _KINDS["stages"] or key.endswith(f"/{MANIFEST}")
            try:
                actual = self._digest(key, digest)
                data = self._store.read(key, digest) if actual and is_parsed else b""
            except UnusableFileError as error:
                raise Broken("store", f"{error}.", _MEND_STORE) from error
            if not actual:
                self.missing[kind] += 1
                if key in needed:
                    name = needed[key].partition("/")[0]
                    raise Broken(
                        "store",
                        f"{self._store.uri(key)} is gone: the data of {needed[key]}, "
                        "the champion.",
                        f"Run `headrace run {name}`, which reads the data again.",
                    )
                continue
            saved = _parsed(data) if kind == _KINDS["stages"] else {}
            if model and saved and saved.get("pipeline") != model:
                continue
            self._compare(key, data, actual, digest)
            self.checked[kind] += 1

    def _digest(self, key: str, digest: str) -> str:
        """The sha256 of a file; empty if it is gone, or yet to be replaced.

        A file is recorded before it is written. A process that was killed in between
        leaves what was recorded earlier, which nothing reads.
        """
        try:
            actual = self._store.digest(key)
        except UnusableFileError:
            raise
        except FileNotFoundError:
            return ""
        is_earlier = actual != digest and actual in self._ledger.anchored_before(key)
        return "" if is_earlier else actual

    def _compare(self, key: str, data: bytes, actual: str, digest: str) -> None:
        """Compare a file with its digest; a snapshot is read to the last item."""
        if actual != digest:
            what = (
                f"{self._store.uri(key)} was changed: it has sha256 {actual[:16]}..., "
                f"and the ledger recorded {digest[:16]}...."
            )
            raise Broken("store", what, _MEND_STORE)
        folder, _, name = key.rpartition("/")
        if name != MANIFEST:
            return
        try:
            snapshot = described(data, self._store.uri(folder))
            named = {"digest": folder.rpartition("/")[2]}
            snapshot = snapshot.model_copy(update=named)
            check_snapshot(snapshot)
            self.forgotten.update(forgotten_of(snapshot))
        except IntegrityError as error:
            raise Broken("store", error.message, error.action) from error
        except ValueError as error:
            what = f"{self._store.uri(key)} cannot be read: {error}."
            raise Broken("store", what, _MEND_STORE) from error

    def _anchors(self, model: str) -> dict[str, str]:
        """The sha256 of the files to check; stage records are selected by content."""
        anchors = self._ledger.anchors()
        if not model:
            return anchors
        versions = self._ledger.versions(model)
        snapshots = {version.snapshot_digest for version in versions}
        models = {version.model_digest for version in versions}
        beginnings = (
            "stages/",
            f"pipelines/{model}/",
            f"backfills/{model}/",
            *(f"snapshots/{digest}/" for digest in snapshots),
            *(f"quarantine/{digest[:16]}-" for digest in snapshots),
            *(f"engines/{digest}/" for digest in models),
            *(signature_key(version) for version in versions),
            *(card_key(version.run_id) for version in versions),
        )
        return {key: sha for key, sha in anchors.items() if key.startswith(beginnings)}

    def _data_of_champions(self, models: Collection[str]) -> dict[str, str]:
        """The manifests that must exist, each with the name of a champion."""
        champions = [self._ledger.champion(model) for model in models]
        return {
            f"snapshots/{one.version.snapshot_digest}/{MANIFEST}": (
                f"{one.version.model}/{one.version.version}"
            )
            for one in champions
            if one is not None
        }

    def check_models(self, models: Collection[str]) -> None:
        """Compare every version's files and MLflow's tags and aliases."""
        for model in models:
            champion = self._ledger.champion(model)
            number = champion.version.version if champion else None
            versions = self._ledger.versions(model)
            for version in counted(versions, f"verify {model}", "versions"):
                try:
                    self._check_version(version)
                    self.checked["models"] += 1
                except IntegrityError as error:
                    cause = error.__cause__
                    is_gone = isinstance(cause, NotFoundError | OSError)
                    is_gone = is_gone and not isinstance(cause, UnusableFileError)
                    if is_gone and self._ledger.is_collected(version):
                        continue
                    if not is_gone or version.version == number:
                        what = f"{model}/{version.version}: {error.message}"
                        raise Broken("model", what, error.action) from error
                    self.missing["models"] += 1
                self._check_others(version)
            self._check_registry(model)

    def _check_version(self, version: Version) -> None:
        """Raise IntegrityError if a version's files are not those of the ledger."""
        with self._tracking.version_file(version):
            pass
        data = self._tracking.version_golden(version, GOLDEN_FILE)
        if hashlib.sha256(data).hexdigest() != version.golden_digest:
            raise IntegrityError(
                f"{GOLDEN_FILE} of the run {version.run_id} was changed.",
                "Restore it from a backup, or train again.",
            )
        self.checked["golden answers"] += 1

    def _check_others(self, version: Version) -> None:
        """Compare a version's other files, copies and signature with the ledger."""
        for where, what, action in find_changed(
            version, self._settings, self._ledger, self._tracking
        ):
            raise Broken(where, what, action)
        if not self._trusted:
            return
        signature = check_signature(
            version, self._settings, self._ledger, self._trusted
        )
        if signature:
            name = f"{version.model}/{version.version}"
            action = (
                f"See who may write there. `headrace repair {name}` signs it again."
            )
            raise Broken("store", signature, action)

    def _check_registry(self, model: str) -> None:
        """Compare MLflow's registry of a model with the ledger."""
        aliases, listed = self._tracking.registered(model)
        # Read now: a run may have registered a version while files were checked.
        versions = {one.version: one for one in self._ledger.versions(model)}
        wanted_aliases = aliases_of(model, self._ledger)
        champion = wanted_aliases["champion"]
        if champion is not None and champion not in listed:
            raise Broken(
                "mlflow",
                f"MLflow's registry has no version {champion} of {model}, which is "
                "the champion.",
                "It goes on working, as the ledger and its files are whole. "
                + _MEND_MLFLOW,
            )
        lost = {
            number
            for number in versions.keys() - listed
            if not self._ledger.is_collected(versions[number])
        }
        if lost:
            self.missing["versions of MLflow's registry"] += len(lost)
        for alias, wanted in wanted_aliases.items():
            present = aliases.get(alias)
            if present != wanted and (wanted is None or wanted in listed):
                raise Broken(
                    "mlflow",
                    f"MLflow's alias {alias} of {model} is on "
                    f"{_named(present)}, and the ledger has {_named(wanted)}.",
                    f"Run `headrace repair {model}`, which puts it right.",
                )
        for number, entry in sorted(listed.items()):
            if number in versions:
                self._check_listed(versions[number], entry)
            # Otherwise another tool registered it, or a killed run that will continue.
            elif WEIGHTS_TAG in entry.tags and not self._ledger.is_unsettled(model):
                raise _unknown_to_ledger(f"version {number} of {model}", "version")

    def _check_listed(self, version: Version, entry: RegistryVersion) -> None:
        """Compare the registry's entry of a version with the ledger."""
        name = f"{version.model}/{version.version}"
        runs = {version.run_id, version.details.get("training", {}).get("run_id")}
        for binding in self._ledger.bindings(version.model):
            if binding.version == version.version:
                runs.add(binding.run_id)
        if entry.run_id and entry.run_id not in runs:
            raise Broken(
                "mlflow",
                f"MLflow's version {name} is of the run {entry.run_id}, and the ledger "
                f"has {version.run_id}.",
                _MEND_MLFLOW,
            )
        for tag, value in version_tags(version).items():
            present = entry.tags.get(tag, "")
            if present != value:
                raise Broken(
                    "mlflow",
                    f"MLflow's tag {tag} of {name} is {present[:16] or 'gone'}, and "
                    f"the ledger has {value[:16]}.",
                    f"Run `headrace repair {name}`, which puts it right; and see "
                    "who may write there.",
                )

    def check_forgotten(self) -> None:
        """Look for a model that Headrace registered and the ledger lacks."""
        known = set(self._ledger.models())
        for model in self._tracking.registered_models():
            if model not in known and not self._ledger.is_unsettled(model):
                raise _unknown_to_ledger(f"the model {model}", "model")


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _unknown_to_ledger(what: str, kind: str) -> Broken:
    return Broken(
        "ledger",
        f"MLflow has {what}, and the ledger has not: an older ledger, or an empty one, "
        "may have been put in its place.",
        f"Put the newer ledger back, or delete that {kind} in MLflow.",
    )


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
