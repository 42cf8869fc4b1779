"""A review of labels: its page, and its CSV file, written empty and read back."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from headrace.data.corrections import Correction, Corrections
from headrace.data.snapshots.reading import payload_of, read_shard, shards_of
from headrace.display import pages
from headrace.display.signs import as_cell
from headrace.errors import InputError, NotFoundError
from headrace.media import medium
from headrace.records import DataDescription, SnapshotRecord
from headrace.use.relabeling.suspects import Suspect

NEEDED = ("item", "label", "proposed", "decision")
DECISIONS = ("accept", "keep", "skip", "")
MAX_BYTES = 16 * 2**20


@dataclass(slots=True)
class Decided:
    """What a reviewed file decides.

    Attributes:
        rows: the accepted corrections.
        counts: number of rows by decision.
    """

    rows: list[Correction] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def values_of(
    rows: Sequence[Suspect], items: Mapping[str, Any], data: DataDescription
) -> list[dict[str, str]]:
    """The values of each row by column: of texts, the text; the decision is empty.

    Names and texts are not read back.

    Args:
        rows: at least one.
        items: by their sha256, each in the medium's form.
        data: the description of the snapshot.
    """
    module, texts = medium(data.medium), dict[str, str]()
    if module.IS_TEXT and items:
        column = module.as_column(np.stack([*items.values()]))
        texts = dict(zip(items, column.to_pylist(), strict=True))
    return [
        {
            "item": row.item,
            "name": as_cell(row.name),
            **({"text": as_cell(texts.get(row.item, ""))} if texts else {}),
            "split": row.split,
            "label": row.label,
            "proposed": row.likely,
            "decision": "",
        }
        for row in rows
    ]


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows with the same columns as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def decide(
    file: Path,
    labels: Mapping[str, set[str]],
    earlier: Corrections,
    data: DataDescription,
) -> Decided:
    """Read a reviewed file, and check every row.

    Args:
        file: CSV in UTF-8, with at least the columns `NEEDED`.
        labels: the labels of each item in the snapshot, by its sha256.
        earlier: the corrections until now; a row may repeat one.
        data: the description of the snapshot.

    Raises:
        NotFoundError: there is no such file.
        InputError: it is not such a file, or a row does not fit.
    """
    decided, applied = Decided(), earlier.labels()
    classes = set(data.target.get("classes", ()))
    for line, row in _rows(file):
        where = f"{file}, line {line}"
        item, given, proposed = row["item"], row["label"], row["proposed"]
        decision = row["decision"].strip().lower()
        if decision not in DECISIONS:
            raise InputError(
                f"{where}: the decision {row['decision']!r} is unknown.",
                "Write accept, keep or skip, or leave it empty.",
            )
        is_repeated = applied.get((item, given)) == proposed
        if item not in labels or (given not in labels[item] and not is_repeated):
            raise InputError(
                f"{where}: the last run's data has no item {item[:70]!r} labelled "
                f"{given!r}.",
                "Keep the columns item and label as they were written, or list the "
                "labels again if the data has changed since.",
            )
        if classes and proposed not in classes:
            raise InputError(
                f"{where}: the proposed label {proposed!r} is none of the classes.",
                f"Use one of {', '.join(sorted(classes)[:20])}.",
            )
        decided.counts[decision] += 1
        if decision == "accept" and proposed != given:
            decided.rows.append(Correction(item, given, proposed))
    return decided


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, values) of each row."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{file} has more than {MAX_BYTES:,} bytes.", "Apply it in parts."
            )
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NotFoundError(
            f"{file} cannot be read: {error.strerror}.", "Name a reviewed CSV file."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is not UTF-8: {error.reason} at byte {error.start}.",
            "Save it as CSV in UTF-8.",
        ) from None
    reader = csv.DictReader(io.StringIO(text), strict=True)
    rows = []
    try:
        missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(
                f"{file}, line 1: the column {missing[0]} is missing.",
                f"It needs {', '.join(NEEDED)}, separated by commas.",
            )
        for row in reader:
            if any(not isinstance(row.get(name), str) for name in NEEDED):
                raise csv.Error("the row is too short")
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise InputError(
            f"{file}, line {reader.line_num}: {error}.", "Save it as CSV again."
        ) from None
    return rows


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
