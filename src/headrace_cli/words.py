"""Text of users on a terminal: it is shown as it is, and drives nothing.

A reason, a label or a name may hold the marks of rich, the sequences that a terminal
obeys, or signs that turn the order of what is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.signs import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH_OF_FILES = 200


def one_line(value: object) -> str:
    """A value as a text of one line, for a cell or the middle of a sentence."""
    return visible(str(value)).replace("\n", "\\n").replace("\t", " ")


def marked(value: object) -> str:
    """A value as a part of a text with marks, none of which are its own."""
    from rich.markup import escape

    return escape(one_line(value))


def make_console(*, is_terminal: bool) -> Console:
    """Standard output; a text has marks only where ``markup=True`` says so."""
    from rich.console import Console

    class Plain(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            shown = (visible(o) if isinstance(o, str) else o for o in objects)
            super().print(*shown, **options)

    width = None if is_terminal else WIDTH_OF_FILES
    return Plain(
        highlight=False, soft_wrap=True, width=width, markup=False, emoji=False
    )


def add_row(table: Table, *cells: object) -> None:
    """Add a row to a table whose cells are values of users, each on one line."""
    table.add_row(*("" if cell is None else one_line(cell) for cell in cells))
