"""The CSV file of a review: written with empty decisions, and read back."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headrace.data.corrections import Correction, Corrections
from headrace.errors import InputError, NotFoundError
from headrace.records import DataDescription, SuspectRecord
from headrace.signs import as_cell

COLUMNS = ("item", "name", "split", "label", "proposed", "chance_wrong", "decision")
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


def as_csv(rows: Sequence[SuspectRecord]) -> str:
    """The rows as CSV, each with an empty decision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(cells_of(row))
    return text.getvalue()


def cells_of(row: SuspectRecord) -> list[str]:
    """The cells of a row, by `COLUMNS`; a name is not read back."""
    values = [row.item, as_cell(row.name), row.split, row.label, row.likely]
    return [*values, f"{row.chance_wrong:.4f}", ""]


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
        if item not in labels:
            raise InputError(
                f"{where}: the item {item[:70]!r} is not in the data of the last run.",
                "Take the column item as it was written; it is a sha256.",
            )
        is_repeated = applied.get((item, given)) == proposed
        if given not in labels[item] and not is_repeated:
            present = ", ".join(map(repr, sorted(labels[item])))
            raise InputError(
                f"{where}: the item is labelled {present}, not {given!r}.",
                "List the labels again: the data has changed since.",
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
    try:
        missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(
                f"{file}, line 1: the column {missing[0]} is missing.",
                f"It needs {', '.join(NEEDED)}, separated by commas.",
            )
        rows = []
        for row in reader:
            if any(not isinstance(row.get(name), str) for name in NEEDED):
                raise InputError(
                    f"{file}, line {reader.line_num}: the row is too short.",
                    f"It needs {', '.join(NEEDED)}.",
                )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise InputError(
            f"{file}, line {reader.line_num}: {error}.", "Save it as CSV again."
        ) from None
    return rows
