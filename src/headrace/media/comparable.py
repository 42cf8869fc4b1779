"""The columns of a medium that can be compared between sets of items."""

from __future__ import annotations

from headrace.media import medium
from headrace.media.forms import Columns, Payload
from headrace.records import DataDescription


def item_columns(items: Payload, data: DataDescription) -> Columns:
    """The medium's columns that can be compared between sets of items.

    They are numbers and flags, and depend on their item alone. Columns that depend on
    the other items of a set (`Medium.RELATIVE_COLUMNS`), on its label, or that are
    codes or words are left out.

    Args:
        items: ``(n, *shape)``, as in a snapshot.
        data: of the version.

    Returns:
        arrays ``(n,)`` of numbers or bool.
    """
    module = medium(data.medium)
    columns = module.columns(items, [""] * len(items), data)
    return {name: columns[name] for name in comparable(columns, data)}


def comparable(columns: Columns, data: DataDescription) -> list[str]:
    """The names of those columns of a medium, of all that it computes."""
    left_out = {"fingerprint", *medium(data.medium).RELATIVE_COLUMNS}
    return [
        name
        for name, values in columns.items()
        if values.dtype.kind in "biuf" and name not in left_out
    ]
