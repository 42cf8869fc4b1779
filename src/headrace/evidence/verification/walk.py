"""One walk over a home: the ledger, the files of the store, the models and MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from headrace.data.snapshots.checking import check_snapshot
from headrace.data.snapshots.reading import described
from headrace.errors import IntegrityError
from headrace.evidence.verification.versions import other_mismatches, run_mismatch
from headrace.models.logged.soundness.checks import file_mismatches
from headrace.progress import counted
from headrace.records import MANIFEST
from headrace.settings import Settings
from headrace.stages.promotion.registry import registry_mismatches, unknown_to_ledger
from headrace.state import backbones
from headrace.state.folders import FOLDERS, Owner, folder_of
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version
from headrace.state.ledger.disposals import VERSIONS_KIND, version_key
from headrace.state.ledger.holding import COLLECTING
from headrace.state.ledger.leases import Leases

_MEND_CHAIN = (
    "Somebody has written to the ledger's database. Restore it from a backup, and "
    "change who may write there."
)
_MEND_STORE = (
    "Somebody has written to the store. Delete this file and run the pipeline again, "
    "which makes anew what is needed; and change who may write there."
)
_MEND_BACKBONE = (
    "Bring it again with `headrace backbone add`; and change who may write there."
)


@dataclass
class Walk:
    """All mismatches of a home, found one after the other as they are asked for.

    Attributes:
        model: only what belongs to it, and the stage records; empty for everything.
        checked: how many of each kind, such as ``snapshots``, are as recorded.
        missing: how many of each kind are gone. That is a mismatch only of a champion.
        collected: how many of each kind ``headrace gc`` and ``forget`` have deleted.
    """

    home: Home
    model: str = ""
    checked: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    collected: Counter[str] = field(default_factory=Counter)

    def mismatches(self, problem: str) -> Iterator[Mismatch]:
        """What does not fit, the ledger itself first.

        Args:
            problem: of the ledger's chain; empty if there is none.

        Raises:
            DependencyError: the ledger, the store or MLflow does not answer.
        """
        ledger, settings = self.home.ledger, self.home.settings
        if problem:
            message = f"{settings.database_url}: {problem}."
            yield Mismatch(where="ledger", message=message, action=_MEND_CHAIN)
        yield from self._of_forgetting()
        models = [self.model] if self.model else ledger.models()
        versions = [one for model in models for one in ledger.versions(model)]
        champions = {
            model: entry.version
            for model in models
            if (entry := ledger.champion(model)) is not None
        }
        if not self.model:
            self._count_collected(versions)
        yield from self._of_store(versions, champions.values())
        for version in counted(versions, "verify", "versions"):
            is_champion = champions.get(version.model) == version
            yield from self._of_version(version, is_champion=is_champion)
        for model in models:
            yield from self._of_registry(model, champions.get(model))
        if not self.model and _has_own_registry(settings):
            yield from self._of_unknown_models()

    def _of_forgetting(self) -> Iterator[Mismatch]:
        """The requests to forget something that nobody carries out any more."""
        leases = Leases(self.home.settings.database_url)
        current = leases.current(COLLECTING)
        if current is not None and current.is_alive(leases.now()):
            return
        for one in self.home.ledger.disposals.open_forgettings():
            yield Mismatch(
                where="store",
                message=f"`headrace forget {one.pipeline}` of {one.who}, begun "
                f"{one.begun}, was interrupted: what it takes out may still be there.",
                action=f"Run `headrace forget {one.pipeline} --yes`, which ends it.",
            )

    def _count_collected(self, versions: Collection[Version]) -> None:
        """Count what was collected and has not been made again since."""
        anchors = self.home.ledger.files.anchors()
        again = {*anchors, *(key.rpartition("/")[0] for key in anchors)}
        present = {version_key(version) for version in versions}
        for key, item in self.home.ledger.disposals.collected().items():
            is_of_version = key.startswith(f"{VERSIONS_KIND}/")
            self.collected[item.kind] += (
                key in present if is_of_version else key not in again
            )

    def _of_store(
        self, versions: Collection[Version], champions: Collection[Version]
    ) -> Iterator[Mismatch]:
        """Compare every file of the store whose sha256 is in the ledger."""
        needed = {f"snapshots/{v.snapshot_digest}/{MANIFEST}": v for v in champions}
        for key, digest in counted(self._anchors(versions), "verify", "files"):
            kind = folder_of(key).kind
            try:
                if self._is_present(key, digest):
                    self.checked[kind] += 1
                    continue
            except IntegrityError as error:
                mend = error.action or _MEND_STORE
                yield Mismatch(where="store", message=error.message, action=mend)
                continue
            self.missing[kind] += 1
            if version := needed.get(key):
                name = f"{version.model}/{version.version}"
                place = self.home.store.uri(key)
                message = f"{place} is gone: the data of {name}, the champion."
                mend = f"Run `headrace run {version.model}`, which reads it again."
                yield Mismatch.of(version, "store", "snapshot", message, mend)

    def _anchors(self, versions: Collection[Version]) -> list[tuple[str, str]]:
        """The files to check, each with its sha256."""
        if not self.model:
            return [*self.home.ledger.files.anchors().items()]
        owners: dict[Owner, set[str]] = {
            "pipeline": {self.model},
            "snapshot": {version.snapshot_digest for version in versions},
            "model": {version.model_digest for version in versions},
            "run": {version.run_id for version in versions},
        }
        trainings = [version.details.get("training", {}) for version in versions]
        began = [one["backbone"] for one in trainings if one.get("backbone")]
        own = {f"{backbones.FOLDER}/{one['digest']}/" for one in began} | {"stages/"}
        for folder in FOLDERS.values():
            own |= folder.prefixes_of(owners.get(folder.owner, ()))
        return [*self.home.ledger.files.anchors_below(own).items()]

    def _is_present(self, key: str, digest: str) -> bool:
        """Whether a file is there; a snapshot is read to the last item.

        A file is recorded before it is written. A process that was killed in between
        leaves what was recorded earlier, which nothing reads: it counts as gone.

        Raises:
            IntegrityError: it was changed.
        """
        store, (folder, _, name) = self.home.store, key.rpartition("/")
        try:
            actual = store.digest(key)
        except FileNotFoundError:
            return False
        if actual != digest:
            if actual in self.home.ledger.files.anchored_before(key):
                return False
            is_backbone = folder_of(key).name == backbones.FOLDER
            raise IntegrityError(
                f"{store.uri(key)} was changed: it has sha256 {actual[:16]}..., and "
                f"the ledger recorded {digest[:16]}....",
                _MEND_BACKBONE if is_backbone else _MEND_STORE,
            )
        if name == MANIFEST:
            self._check_snapshot(store.read(key), store.uri(folder))
        elif key.startswith(f"{backbones.FOLDER}/"):
            backbones.check(folder.rpartition("/")[2], self.home)
        return True

    def _check_snapshot(self, manifest: bytes, uri: str) -> None:
        """Read a snapshot; raises IntegrityError."""
        try:
            named = {"digest": uri.rpartition("/")[2]}
            snapshot = described(manifest, uri).model_copy(update=named)
            check_snapshot(snapshot)
        except ValueError as error:
            raise IntegrityError(f"{uri}/{MANIFEST} cannot be read: {error}.") from None

    def _of_version(self, version: Version, *, is_champion: bool) -> Iterator[Mismatch]:
        """Compare the files of a version, and the run of a champion."""
        lost = next(file_mismatches(version, self.home), None)
        if lost is None:
            self.checked.update(("golden answers", "models"))
        elif not lost.is_gone or not self.home.ledger.disposals.is_collected(version):
            if lost.is_gone and not is_champion:
                self.missing["models"] += 1
            else:
                message = f"{version.model}/{version.version}: {lost.message}"
                yield lost.model_copy(update={"message": message})
        yield from other_mismatches(version, self.home)
        if is_champion:
            yield from run_mismatch(version, self.home)

    def _of_registry(self, model: str, champion: Version | None) -> Iterator[Mismatch]:
        """Compare MLflow's registry of a model with the ledger."""
        for one in registry_mismatches(model, self.home):
            if one.is_gone and one.version != (champion and champion.version):
                self.missing["versions of MLflow's registry"] += 1
            else:
                yield one

    def _of_unknown_models(self) -> Iterator[Mismatch]:
        """The models of MLflow that Headrace registered and the ledger lacks."""
        in_ledger = set(self.home.ledger.models())  # of runs that began meanwhile, too
        for name in self.home.tracking.registered_models():
            if name not in in_ledger and not self.home.ledger.is_unsettled(name):
                yield unknown_to_ledger("model", f"the model {name}")


def _has_own_registry(settings: Settings) -> bool:
    """Whether MLflow's database is the home's own, not shared with other ledgers."""
    if settings.tracking_uri != settings.home_tracking_uri:
        return False
    is_sqlite = settings.home_tracking_uri.startswith("sqlite")
    return not is_sqlite or (settings.home / "mlflow.db").is_file()
