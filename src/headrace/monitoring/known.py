"""The items that a version knows, which say nothing about how it does on new ones."""

from __future__ import annotations

import contextlib

import numpy as np

from headrace.data.anchored import open_anchored
from headrace.data.snapshots.reading import DIGEST
from headrace.drift.profile import Profile
from headrace.errors import IntegrityError
from headrace.monitoring.batches import Batch
from headrace.monitoring.profiles import snapshot_of
from headrace.settings import Settings
from headrace.stages.evaluation.items import learned_from
from headrace.state.ledger import Version


class KnownItems:
    """The items that a version learned from, and those that windows are compared with.

    Args:
        version: of the ledger. Where its snapshot is gone, the reference is what is
            left.
        profile: of it.
        settings: where the store is.
    """

    def __init__(self, version: Version, profile: Profile, settings: Settings) -> None:
        self._reference = set(profile.items.tolist())
        self._snapshot = None
        with contextlib.suppress(IntegrityError):
            self._snapshot = snapshot_of(version, open_anchored(settings))

    def others(self, batch: Batch) -> Batch:
        """The rows of other items; those that are left out are counted as `own`."""
        own = self._reference.intersection(batch.items.tolist())
        if self._snapshot is not None and len(batch):
            digests = np.array([bytes.fromhex(item) for item in batch.items], DIGEST)
            with contextlib.suppress(IntegrityError):
                learned = learned_from(self._snapshot, digests)
                own |= set(batch.items[learned].tolist())
        return batch.without(own)


def note_of_labels(labelled: Batch, others: Batch) -> tuple[str, ...]:
    """A note on labels that do not count, if there are any.

    Args:
        labelled: the rows with a label.
        others: those of them whose items the version does not know.
    """
    known = len(set(labelled.items)) - len(set(others.items))
    if not known:
        return ()
    return (
        "items whose labels are left out, as they are in the data that the version was "
        f"trained or evaluated on: {known:,}",
    )
