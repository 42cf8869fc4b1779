"""The page of a review: every item with its labels, decided with keys, saved as CSV.

It is one HTML file that loads nothing. Its only script is allowed by its digest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from headrace import pages
from headrace.data.snapshots.reading import payload_of, read_shard, shards_of
from headrace.media import medium
from headrace.records import SnapshotRecord, SuspectRecord
from headrace.use.relabeling.review import COLUMNS, cells_of


def review_page(
    pipeline: str, rows: Sequence[SuspectRecord], snapshot: SnapshotRecord
) -> str:
    """The page as HTML.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    script, policy = pages.script("relabel.js")
    items = _items_of(snapshot, {row.item for row in rows})
    module, data = medium(snapshot.description.medium), snapshot.description
    classes = [str(name) for name in data.target.get("classes", ())]
    values = [dict(zip(COLUMNS, cells_of(row), strict=True)) for row in rows]
    facts = {"pipeline": pipeline, "columns": COLUMNS, "rows": values}
    embedded = json.dumps(facts).replace("<", "\\u003c")
    return pages.render(
        "relabel.html",
        title=f"Labels of {pipeline} that may be wrong",
        pipeline=pipeline,
        rows=rows,
        classes=classes,
        shown=[
            module.as_html(items[row.item], data) if row.item in items else ""
            for row in rows
        ],
        facts=Markup(embedded),  # noqa: S704 - JSON without "<"
        script=script,
        policy=policy,
    )


def _items_of(snapshot: SnapshotRecord, wanted: set[str]) -> dict[str, Any]:
    """The items with some digests, each in the medium's form."""
    items: dict[str, Any] = {}
    column = snapshot.description.medium
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["item", column])
        chosen = pc.is_in(table["item"], pa.array(sorted(wanted), pa.string()))
        table = table.filter(chosen)
        if table.num_rows:
            payload = payload_of(table, snapshot.description)
            items |= dict(zip(table["item"].to_pylist(), payload, strict=True))
    return items
