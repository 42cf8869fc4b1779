"""The folders of a store: whose their entries are, what becomes of them, their keys.

``gc`` and ``forget`` go by this table. An entry is what lies directly in a
folder, a file or a folder. It is named by its owner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from headrace.records import ContractRecord, Record, SnapshotRecord
from headrace.state.store import Store

R = TypeVar("R", bound=Record)

# What the name of an entry begins with: the digest of a snapshot, the sha256 of a model
# file, the fingerprint of a training, the id of an MLflow run, or the name of a
# pipeline. That of a study is in its file. "none" is what any pipeline may share.
Owner = Literal["snapshot", "model", "training", "run", "pipeline", "none"]
_OF_SNAPSHOT = 16  # digits of its digest, in the names of what is made of it
_DIGEST = re.compile(rf"[0-9a-f]{{{_OF_SNAPSHOT}}}")


@dataclass(frozen=True)
class Folder:
    """A folder of the store.

    Attributes:
        name: of the folder, the first part of a key.
        kind: what its entries are, as reports count them.
        owner: whose they are.
        is_made_again: whether an entry is made again once it is needed.
        shows_items: whether entries may have items of the data, or digests of them.
        marker: the file of an entry without which the rest counts as incomplete.
    """

    name: str
    kind: str
    owner: Owner
    is_made_again: bool = False
    shows_items: bool = False
    marker: str = ""

    @property
    def is_collected(self) -> bool:
        """Whether `gc` deletes entries that nothing needs.

        What is of a pipeline stays, and what is shared and not made again.
        """
        return self.owner != "pipeline" and (self.owner != "none" or self.is_made_again)

    def is_of(self, entry: str, owners: Iterable[str]) -> bool:
        """Whether an entry, by its name in the folder, is of one of these owners."""
        if self.owner == "snapshot":
            return entry[:_OF_SNAPSHOT] in {owner[:_OF_SNAPSHOT] for owner in owners}
        return entry.partition(".")[0] in owners

    def is_list(self, entry: str) -> bool:
        """Whether an entry is of no snapshot, such as the list of all data pages."""
        return self.owner == "snapshot" and not _DIGEST.match(entry)


FOLDERS = {
    folder.name: folder
    for folder in (
        Folder("snapshots", "snapshots", "snapshot", marker="manifest.json"),
        Folder("quarantine", "quarantines", "snapshot", True, True),
        Folder("data_docs", "data pages", "snapshot", True, True),
        Folder("checkpoints", "checkpoints", "training"),
        Folder("trainings", "requests to other pools", "training"),
        Folder("models", "copies of models", "model", marker="golden.npz"),
        Folder("engines", "engines", "model", True, True),
        Folder("profiles", "profiles", "model", True, True),
        Folder("monitoring", "monitoring", "model", False, True),
        Folder("signatures", "signatures", "model"),
        Folder("cards", "pages of runs", "run", False, True),
        Folder("references", "reference models", "none", True, True),
        Folder("features", "outputs of frozen layers", "none", True, True),
        Folder("recognisers", "reference models", "none", True, True),
        Folder("scores", "parts of scored sources", "none", True, True),
        Folder("stages", "stage records", "none", False, True),
        Folder("judged", "lists of judged items", "none", False, True),
        Folder("pipelines", "records of the last stage results", "pipeline"),
        Folder("backfills", "backfills", "pipeline"),
        Folder("corrections", "corrected labels", "pipeline", False, True),
        Folder("folders", "folders of pipelines", "none"),
        Folder("requests", "request logs", "pipeline", False, True),
        Folder("backbones", "backbones", "none", marker="record.json"),
    )
}


def card_key(run_id: str) -> str:
    """The key in the store of a run's page."""
    return f"cards/{run_id}.html"


def quarantine_key(record: ContractRecord) -> str:
    """The key in the store of the rows that a contract set aside."""
    return f"quarantine/{Path(record.quarantine_uri).name}"


def in_store(record: R, store: Store) -> R:
    """A record with the URIs that its files have in this store: a home may be moved."""
    if isinstance(record, SnapshotRecord):
        uri = store.uri(f"snapshots/{record.digest}")
        return record.model_copy(update={"uri": uri})
    if isinstance(record, ContractRecord):
        docs = "/".join(record.docs_uri.rsplit("/", 3)[1:])  # data_docs/NAME/index.html
        uris = {"docs_uri": store.uri(docs)} if docs else {}
        if record.quarantine_uri:
            uris["quarantine_uri"] = store.uri(quarantine_key(record))
        return record.model_copy(update=uris)
    return record
