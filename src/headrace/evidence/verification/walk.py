"""One walk over a home: the ledger, the data and files of versions, and MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from headrace.data.snapshots.reading import check_snapshot, find_snapshot
from headrace.display.progress import counted
from headrace.errors import IntegrityError
from headrace.models.logged.checks import file_mismatches
from headrace.models.logged.copies import copied_files, copy_key
from headrace.records import MANIFEST
from headrace.settings import Settings
from headrace.stages.promotion.registry import registry_mismatches, unknown_to_ledger
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version
from headrace.state.ledger.holding import COLLECTING
from headrace.state.ledger.leases import Leases
from headrace.state.tracking import MODEL_FILE
from headrace.state.tracking.artifacts import digest_at, model_place

DATA = "snapshot"  # the mismatch of a version's data
_MEND_CHAIN = (
    "Somebody has written to the ledger's database. Restore it from a backup, and "
    "change who may write there."
)


@dataclass
class Walk:
    """All mismatches of a home, found one after the other as they are asked for.

    Attributes:
        model: only what belongs to it; empty for everything.
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
            self.collected.update(ledger.facts.deleted().values())
        yield from self._of_snapshots(versions, champions.values())
        for version in counted(versions, "verify", "versions"):
            is_champion = champions.get(version.model) == version
            yield from self._of_version(version, is_champion=is_champion)
        for model in models:
            yield from self._of_registry(model, champions.get(model))
        if not self.model and _has_own_registry(settings):
            yield from self._of_unknown_models()

    def _of_forgetting(self) -> Iterator[Mismatch]:
        """The requests to forget something that nobody carries out any more."""
        if Leases(self.home.settings.database_url).holder(COLLECTING):
            return
        for one in self.home.ledger.facts.forgettings():
            if one.ended is not None:
                continue
            yield Mismatch(
                where="store",
                message=f"`headrace forget {one.pipeline}` of {one.who}, begun "
                f"{one.begun}, was interrupted: what it takes out may still be there.",
                action=f"Run `headrace forget {one.pipeline} --yes`, which ends it.",
            )

    def _of_snapshots(
        self, versions: Collection[Version], champions: Collection[Version]
    ) -> Iterator[Mismatch]:
        """Read the data of all versions to the last item."""
        used = {one.snapshot_digest: one for one in (*versions, *champions)}
        for version in counted([*used.values()], "verify", "snapshots"):
            if (lost := data_mismatch(version, self.home)) is None:
                self.checked["snapshots"] += 1
            elif not lost.is_gone or version in champions:
                yield lost
            else:
                self.missing["snapshots"] += 1

    def _of_version(self, version: Version, *, is_champion: bool) -> Iterator[Mismatch]:
        """Compare the files of a version, and the run of a champion."""
        lost = next(file_mismatches(version, self.home), None)
        if lost is None:
            self.checked.update(("golden answers", "models"))
        elif not lost.is_gone or not self.home.ledger.facts.is_deleted(version):
            if lost.is_gone and not is_champion:
                self.missing["models"] += 1
            else:
                message = f"{version.model}/{version.version}: {lost.message}"
                yield lost.model_copy(update={"message": message})
        yield from other_mismatches(version, self.home, is_champion=is_champion)

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
            if name not in in_ledger and not self.home.ledger.unsettled_since(name):
                yield unknown_to_ledger("model", f"the model {name}")


def _has_own_registry(settings: Settings) -> bool:
    """Whether MLflow's database is the home's own, not shared with other ledgers."""
    if settings.tracking_uri != settings.home_tracking_uri:
        return False
    is_sqlite = settings.home_tracking_uri.startswith("sqlite")
    return not is_sqlite or (settings.home / "mlflow.db").is_file()


def data_mismatch(version: Version, home: Home) -> Mismatch | None:
    """What is wrong with a version's snapshot, which is read whole.

    What was collected or forgotten is not missed.
    """
    key = f"snapshots/{version.snapshot_digest}"
    place, is_gone = home.store.uri(key), not home.store.exists(f"{key}/{MANIFEST}")
    problem = f"{place}/{MANIFEST} cannot be read."
    if is_gone:
        if key in home.ledger.facts.deleted():
            return None
        problem = f"{place}/{MANIFEST} is gone."
    elif snapshot := find_snapshot(home.store, version.snapshot_digest):
        try:
            check_snapshot(snapshot)
            return None
        except IntegrityError as error:
            problem = error.message
    lost = Mismatch.of(version, "store", DATA, f"The data of {version}: {problem}")
    return lost.model_copy(update={"is_gone": is_gone})


def other_mismatches(
    version: Version, home: Home, *, is_champion: bool
) -> Iterator[Mismatch]:
    """What was changed beside the model and its golden answers, or its run deleted.

    Files that are gone are left out: a logged model works without them, and a copy is
    made again. Only a champion must have its run.

    Raises:
        DependencyError: the store or MLflow does not answer.
    """
    folder = model_place(version, home.settings.artifacts)
    for path, digest in copied_files(version).items():
        place = home.store.uri(copy_key(version, path))
        if digest_at(place) not in ("", digest):
            message = f"{place} was changed: it is not the copy that was made."
            yield Mismatch.of(version, "store", f"copy {path}", message)
    for path, digest in version.details.get("files", {}).items():
        place = f"{folder}/{path}"
        if path != MODEL_FILE and digest_at(place) not in ("", digest):
            message = f"{place} was changed: it is not what was registered."
            yield Mismatch.of(version, "model", f"file {path}", message)
    if is_champion and home.tracking.is_deleted(version.run_id):
        what = f"run {version.run_id}"
        message = f"MLflow's {what} of {version.model}/{version.version} was deleted."
        yield Mismatch.of(version, "mlflow", what, message)
