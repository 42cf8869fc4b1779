"""The mismatches of the ledger, the store, the models and MLflow, in this order."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.data.snapshots.checking import check_snapshot
from headrace.data.snapshots.reading import described, forgotten_of
from headrace.errors import IntegrityError
from headrace.evidence.verification.backbones import (
    MEND,
    backbone_mismatches,
    digests_of,
)
from headrace.evidence.verification.champions import run_mismatch
from headrace.evidence.verification.versions import other_mismatches
from headrace.models.logged.soundness.checks import file_mismatches
from headrace.progress import counted
from headrace.records import MANIFEST
from headrace.settings import Settings
from headrace.stages.promotion.registry import registry_mismatches, unknown_to_ledger
from headrace.state.backbones import FOLDER as BACKBONES
from headrace.state.folders import FOLDERS, Owner, folder_of
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version
from headrace.state.ledger.disposals import VERSIONS_KIND, version_key
from headrace.state.ledger.holding import COLLECTING
from headrace.state.ledger.leases import Leases
from headrace.state.regular import UnusableFileError

_MEND_CHAIN = (
    "Somebody has written to the ledger's database. Restore it from a backup, and "
    "change who may write there."
)
_MEND_STORE = (
    "Somebody has written to the store. Delete this file and run the pipeline again, "
    "which makes anew what is needed; and change who may write there."
)
_END_FORGETTING = "Run `headrace forget {0} --yes`, which ends it."
_MEND_DATA = "Run `headrace run {0}`, which reads the data again."


@dataclass
class Mismatches:
    """All mismatches of a home, found one after the other as they are asked for.

    Attributes:
        checked: how many of each kind, such as ``snapshots``, are as recorded.
        missing: how many of each kind are gone. That is a mismatch only of a champion.
        collected: how many of each kind ``headrace gc`` has deleted.
        forgotten: how many rows of each split ``headrace forget`` has taken out of the
            snapshots.
    """

    home: Home
    checked: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    collected: Counter[str] = field(default_factory=Counter)
    forgotten: Counter[str] = field(default_factory=Counter)

    def find(self, problem: str, model: str) -> Iterator[Mismatch]:
        """What does not fit, the ledger itself first.

        Args:
            problem: of the ledger's chain; empty if there is none.
            model: only what belongs to it; empty for everything.

        Raises:
            DependencyError: the ledger, the store or MLflow does not answer.
        """
        if problem:
            message = f"{self.home.settings.database_url}: {problem}."
            yield Mismatch(where="ledger", message=message, action=_MEND_CHAIN)
        yield from self._of_forgetting()
        models = [model] if model else self.home.ledger.models()
        if not model:
            self._count_collected(models)
        yield from self._of_store(model, models, self._anchors(model))
        for name in models:
            yield from self._of_model(name)
        if not model and _has_own_registry(self.home.settings):
            # Also of runs that began meanwhile.
            in_ledger = set(self.home.ledger.models())
            for name in self.home.tracking.registered_models():
                if name not in in_ledger and not self.home.ledger.is_unsettled(name):
                    yield unknown_to_ledger("model", f"the model {name}")

    def _of_forgetting(self) -> Iterator[Mismatch]:
        """The requests to forget something that nobody carries out any more."""
        leases = Leases(self.home.settings.database_url)
        current = leases.current(COLLECTING)
        if current is not None and current.is_alive(leases.now()):
            return
        for one in self.home.ledger.open_forgettings():
            yield Mismatch(
                where="store",
                message=f"`headrace forget {one.pipeline}` of {one.who}, begun "
                f"{one.when}, was interrupted: what it takes out may still be there.",
                action=_END_FORGETTING.format(one.pipeline),
            )

    def _count_collected(self, models: Collection[str]) -> None:
        """Count what was collected and has not been made again since."""
        anchors = self.home.ledger.anchors()
        again = {*anchors, *(key.rpartition("/")[0] for key in anchors)}
        current = {
            version_key(version)
            for model in models
            for version in self.home.ledger.versions(model)
        }
        for key, item in self.home.ledger.collected().items():
            is_of_version = key.startswith(f"{VERSIONS_KIND}/")
            if key in current if is_of_version else key not in again:
                self.collected[item.kind] += 1

    def _of_store(
        self, model: str, models: Collection[str], anchors: Mapping[str, str]
    ) -> Iterator[Mismatch]:
        """Compare every file of the store whose sha256 is in the ledger.

        Args:
            model: check only its files; empty for all.
            models: whose champions must have their data.
            anchors: the sha256 of the files, by key.
        """
        needed, store = self._data_of_champions(models), self.home.store
        for key, digest in counted(anchors.items(), "verify", "files"):
            kind, is_stage = folder_of(key).kind, key.startswith("stages/")
            is_parsed = is_stage or key.endswith(f"/{MANIFEST}")
            try:
                actual = self._digest(key, digest)
                data = store.read(key, digest) if actual and is_parsed else b""
            except UnusableFileError as error:
                yield _of_file(f"{error}.")
                continue
            if not actual:
                self.missing[kind] += 1
                if version := needed.get(key):
                    name = f"{version.model}/{version.version}"
                    action, place = _MEND_DATA.format(version.model), store.uri(key)
                    message = f"{place} is gone: the data of {name}, the champion."
                    yield Mismatch.of(version, "store", "snapshot", message, action)
                continue
            saved = _parsed(data) if is_stage else {}
            if model and saved and saved.get("pipeline") != model:
                continue
            mismatches = list(self._compare(key, data, actual, digest))
            if kind == BACKBONES:
                own = key.split("/")[1]
                mismatches = [
                    one.model_copy(update={"action": MEND}) for one in mismatches
                ] or [*backbone_mismatches(own, self.home)]
            yield from mismatches
            self.checked[kind] += not mismatches

    def _digest(self, key: str, digest: str) -> str:
        """The sha256 of a file; empty if it is gone, or yet to be replaced.

        A file is recorded before it is written. A process that was killed in between
        leaves what was recorded earlier, which nothing reads.
        """
        try:
            actual = self.home.store.digest(key)
        except UnusableFileError:
            raise
        except FileNotFoundError:
            return ""
        is_earlier = actual != digest and actual in self.home.ledger.anchored_before(
            key
        )
        return "" if is_earlier else actual

    def _compare(
        self, key: str, data: bytes, actual: str, digest: str
    ) -> Iterator[Mismatch]:
        """Compare a file with its digest; a snapshot is read to the last item."""
        uri = self.home.store.uri(key)
        folder, _, name = uri.rpartition("/")
        if actual != digest:
            yield _of_file(
                f"{uri} was changed: it has sha256 {actual[:16]}..., and the ledger "
                f"recorded {digest[:16]}...."
            )
        elif name == MANIFEST:
            try:
                named = {"digest": folder.rpartition("/")[2]}
                snapshot = described(data, folder).model_copy(update=named)
                check_snapshot(snapshot)
                self.forgotten.update(forgotten_of(snapshot))
            except IntegrityError as error:
                yield _of_file(error.message, error.action)
            except ValueError as error:
                yield _of_file(f"{uri} cannot be read: {error}.")

    def _anchors(self, model: str) -> dict[str, str]:
        """The sha256 of the files to check; of stages, of all models."""
        if not model:
            return self.home.ledger.anchors()
        versions = self.home.ledger.versions(model)
        owners: dict[Owner, set[str]] = {
            "pipeline": {model},
            "snapshot": {version.snapshot_digest for version in versions},
            "model": {version.model_digest for version in versions},
            "run": {version.run_id for version in versions},
        }
        own = {f"{BACKBONES}/{digest}/" for digest in digests_of(versions)}.union(
            *(f.prefixes_of(owners.get(f.owner, ())) for f in FOLDERS.values())
        )
        return self.home.ledger.anchors_below({*own, "stages/"})

    def _data_of_champions(self, models: Collection[str]) -> dict[str, Version]:
        """The manifests that must exist, each with the champion that needs it."""
        champions = [self.home.ledger.champion(model) for model in models]
        return {
            f"snapshots/{one.version.snapshot_digest}/{MANIFEST}": one.version
            for one in champions
            if one is not None
        }

    def _of_model(self, model: str) -> Iterator[Mismatch]:
        """Compare every version's files, and MLflow's entries, with the ledger."""
        entry = self.home.ledger.champion(model)
        champion = entry.version.version if entry else None
        versions = self.home.ledger.versions(model)
        for version in counted(versions, f"verify {model}", "versions"):
            lost = next(file_mismatches(version, self.home), None)
            if lost is None:
                self.checked.update(("golden answers", "models"))
            elif lost.is_gone and self.home.ledger.is_collected(version):
                continue
            elif lost.is_gone and version.version != champion:
                self.missing["models"] += 1
            else:
                message = f"{model}/{version.version}: {lost.message}"
                yield lost.model_copy(update={"message": message})
            yield from other_mismatches(version, self.home)
        for mismatch in registry_mismatches(model, self.home):
            if mismatch.is_gone and mismatch.version != champion:
                self.missing["versions of MLflow's registry"] += 1
            else:
                yield mismatch
        if entry is not None:
            yield from run_mismatch(entry.version, self.home)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _of_file(message: str, action: str = _MEND_STORE) -> Mismatch:
    return Mismatch(where="store", message=message, action=action)


def _has_own_registry(settings: Settings) -> bool:
    """Whether MLflow's database is the home's own, not shared with other ledgers."""
    if settings.tracking_uri != settings.home_tracking_uri:
        return False
    is_sqlite = settings.home_tracking_uri.startswith("sqlite")
    return not is_sqlite or (settings.home / "mlflow.db").is_file()
