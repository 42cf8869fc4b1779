"""The page of a review: every item with its labels, decided with keys, saved as CSV.

It is one HTML file that loads nothing. Its only script is allowed by its digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from headrace.data.snapshots.reading import payload_of, read_shard, shards_of
from headrace.display import pages
from headrace.media import medium
from headrace.records import DataDescription, SnapshotRecord


def review_page(
    pipeline: str,
    rows: Sequence[Mapping[str, str]],
    items: Mapping[str, Any],
    data: DataDescription,
) -> str:
    """The page as HTML.

    Args:
        pipeline: its name.
        rows: the values of each row by column.
        items: by their sha256, each in the medium's form.
        data: the description of the snapshot.
    """
    script, policy = pages.script("relabel.js")
    module = medium(data.medium)
    classes = [str(name) for name in data.target.get("classes", ())]
    facts = {"pipeline": pipeline, "columns": list(rows[0]), "rows": rows}
    embedded = json.dumps(facts).replace("<", "\\u003c")
    return pages.render(
        "relabel.html",
        title=f"Labels of {pipeline} to look at",
        pipeline=pipeline,
        rows=rows,
        classes=classes,
        shown=[
            module.as_html(items[row["item"]], data) if row["item"] in items else ""
            for row in rows
        ],
        facts=Markup(embedded),  # noqa: S704 - JSON without "<"
        script=script,
        policy=policy,
    )


def items_of(snapshot: SnapshotRecord, wanted: set[str]) -> dict[str, Any]:
    """The items with some digests, each in the medium's form.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
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
