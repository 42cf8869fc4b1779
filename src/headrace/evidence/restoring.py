"""Restores what a version has beside its model: its run's record, files and its data.

All of it comes from the store's own copies, checked against the ledger. The data is
read again from its source. What cannot be restored is said, with the reason:

- MLflow's entries where only a server of somebody else has them, except that a run is
  undeleted and aliases are moved back.
- Files of a run that are together larger than `MAX_BYTES`, or not on a disk.
- Data whose source is gone or has changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from headrace.data.corrections import corrections_of
from headrace.errors import HeadraceError, IntegrityError
from headrace.evidence.verification.champions import champion_mismatches
from headrace.evidence.verification.versions import data_mismatch, manifest_digest
from headrace.models.logged.soundness.tracked import TrackedRecord
from headrace.settings import DEFAULT_ITEM_BYTES
from headrace.stages import ingredients
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.store import Store
from headrace.state.tracking.rows import database_of


class Restoring:
    """What a repair restores beside the files of the model.

    Attributes:
        done: the steps, in words.
        problems: why something could not be restored.

    Raises:
        IntegrityError: the ledger's rows were changed.
        DependencyError: the ledger or the store does not answer.
    """

    def __init__(self, home: Home) -> None:
        self.done: list[str] = []
        self.problems: list[str] = []
        self._home = home
        if problem := home.ledger.walk_chain().problem:
            raise IntegrityError(
                f"The ledger {home.settings.database_url} was changed: {problem}.",
                "Restore it from a backup.",
            )

    def restore(self, version: Version) -> None:
        """Restore MLflow's rows, the run's files and the data of a version."""
        steps: Iterable[Callable[[], list[str]]] = (
            partial(self._undelete, version),
            TrackedRecord(version, self._home).restore,
            partial(restore_data, version, self._home),
        )
        for step in steps:
            try:
                self.done += step()
            except HeadraceError as error:
                self.problems.append(str(error))

    def _undelete(self, version: Version) -> list[str]:
        if database_of(self._home.settings):
            return []  # its rows are restored
        tracking = self._home.tracking
        if not tracking.is_deleted(version.run_id):
            return []
        return ["undeleted its run"] if tracking.undelete(version.run_id) else []

    def finish(self, version: Version) -> None:
        """Add what is still wrong with a champion to the problems."""
        champion = self._home.ledger.champion(version.model)
        if champion is not None and champion.version.version == version.version:
            left = champion_mismatches(version, self._home)
            self.problems += [one.message for one in left]


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
        limits = recorded.get("limits", {})  # the default's are not recorded
        limit = limits.get("max_item_bytes", DEFAULT_ITEM_BYTES)
        data, settings = (spec.data, spec.medium), home.settings.limited(limit)
        snapshot = ingest(*data, made, settings, spec.task, corrected)
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
