"""Tables on a terminal, in which every cell is one line of safe text.

No cell is cut. Where a table is too wide, the less important columns are left out and
named below it, and one column may wrap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headrace_cli.answers import console
from headrace_cli.words import one_line

_SPACE = 2
_LEAST_WIDTH = 24  # of the column that may wrap


def show_rows(rows: Iterable[Sequence[object]], columns: Sequence[str] = ()) -> None:
    """Print a plain table, with a head if there are names of columns."""
    from rich.table import Table

    table = Table(*columns, box=None, padding=(0, _SPACE), show_header=bool(columns))
    for row in rows:
        table.add_row(*map(_text, row))
    console().print(table)


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    wraps: str,
    less_important: Sequence[str] = (),
) -> None:
    """Print a table; columns without a value are left out.

    Args:
        columns: their names.
        rows: the cells of each.
        wraps: the column whose cells may take several lines.
        less_important: the columns that may be left out, in this order.
    """
    from rich.cells import cell_len
    from rich.table import Table

    out = console()
    texts = [dict(zip(columns, map(_text, row), strict=True)) for row in rows]
    widths = {
        name: max(cell_len(text) for text in (name, *(cell[name] for cell in texts)))
        for name in columns
        if any(cell[name] for cell in texts)
    }
    widths[wraps] = min(widths.get(wraps, 0), _LEAST_WIDTH)
    hidden = []
    for name in less_important:
        if sum(widths.values()) + _SPACE * len(widths) <= out.width:
            break
        if widths.pop(name, None):
            hidden.append(name)
    table = Table(box=None, padding=(0, _SPACE, 0, 0), header_style="bold")
    names = [name for name in columns if widths.get(name)]
    for name in names:
        table.add_column(name, no_wrap=name != wraps, min_width=widths[name])
    for cell in texts:
        table.add_row(*(cell[name] for name in names))
    out.print(table)
    if hidden:
        out.print(f"No room for: {', '.join(hidden)}. See --json.", style="dim")


def _text(cell: object) -> str:
    return "" if cell is None else one_line(cell)


def minutes(time: str | None) -> str:
    """A time of the ledger, to the minute, in UTC."""
    return (time or "")[:16].replace("T", " ")
