"""Tables for people, as wide as the terminal: what has no room is left out, and said.

No cell is cut: columns of less interest go first, and one column may take more lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace_cli.answers import console
from headrace_cli.words import add_row, one_line

_SPACE = 2
_LEAST_WIDTH = 24  # of the column that may take more lines


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
        less_important: the columns that are left out where there is no room, first the
            first.
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
        add_row(table, *(cell[name] for name in names))
    out.print(table)
    if hidden:
        out.print(f"No room for: {', '.join(hidden)}. See --json.", style="dim")


def _text(cell: Any) -> str:
    return "" if cell is None else one_line(cell)


def minutes(time: str | None) -> str:
    """A time of the ledger, to the minute, in UTC."""
    return (time or "")[:16].replace("T", " ")
