"""The stored snapshots that have forgotten items, and their deletion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.corrections import ForgottenItems
from headrace.data.snapshots.reading import (
    count_values,
    described,
    read_rejected,
    read_shard,
    shards_of,
)
from headrace.display.progress import counted
from headrace.errors import IntegrityError
from headrace.records import MANIFEST
from headrace.state.home import Home
from headrace.state.store import Store

KIND = "forgotten snapshots"
_COLUMNS = ["item", "split", "group"]


def find_rows(store: Store, forgotten: ForgottenItems) -> dict[str, Counter[str]]:
    """How many forgotten rows of each split a snapshot has, by its digest.

    Rejected items count as the split ``rejected``; snapshots without such rows are left
    out.

    Raises:
        IntegrityError: a snapshot cannot be read.
    """
    found = {}
    for digest in counted(store.names("snapshots"), "forget", "snapshots searched"):
        counts = Counter[str]()
        for table in _tables(digest, store):
            mask = pa.array(forgotten.has_items(table["item"].to_pylist()), pa.bool_())
            counts.update(count_values(table.filter(mask)["split"]))
        if counts:
            found[digest] = counts
    return found


def items_of_group(digest: str, group: str, store: Store) -> set[str]:
    """The sha256 of all items of a group in a snapshot, rejected ones included, hex."""
    return {
        item
        for table in _tables(digest, store)
        for item in table.filter(pc.equal(table["group"], group))["item"].to_pylist()
    }


def delete_snapshots(digests: Iterable[str], home: Home) -> None:
    """Delete snapshots, and those that killed runs have left without a manifest.

    The ledger records first that they are gone.
    """
    keys, store = [f"snapshots/{digest}" for digest in digests], home.store
    home.ledger.facts.record_deleted(dict.fromkeys(keys, KIND), home.settings.user)
    for key in keys:
        store.delete(f"{key}/{MANIFEST}")
    for name in store.names("snapshots"):
        if not store.exists(f"snapshots/{name}/{MANIFEST}"):
            store.delete_folder(f"snapshots/{name}")


def _tables(digest: str, store: Store) -> Iterator[pa.Table]:
    """The rows of a snapshot, and its rejected ones; none without a manifest."""
    key = f"snapshots/{digest}"
    uri = store.uri(key)
    try:
        snapshot = described(store.read(f"{key}/{MANIFEST}"), uri)
        for shard in shards_of(snapshot):
            yield read_shard(snapshot, shard, _COLUMNS)
        rejected = read_rejected(snapshot).select(_COLUMNS)
        split = pa.array(["rejected"] * len(rejected), pa.string())
        yield rejected.set_column(1, "split", split)
    except FileNotFoundError:
        return
    except (ValueError, IntegrityError) as error:
        raise IntegrityError(
            f"{uri} cannot be searched: {error}",
            "Delete this folder, and run the same command again: a run that needs the "
            "data reads it again.",
        ) from None
