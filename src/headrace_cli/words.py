"""Safe text for a terminal.

A reason, a label or a name may hold markup of rich, control sequences, or signs that
change the direction of text. They are shown as text, and have no effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.signs import visible

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 200


def one_line(value: object) -> str:
    """A value as one line of text, for a cell or the middle of a sentence."""
    return visible(str(value)).replace("\n", "\\n").replace("\t", " ")


def marked(value: object) -> str:
    """A value as a part of a text with markup, with its own markup escaped."""
    from rich.markup import escape

    return escape(one_line(value))


def make_console(*, is_terminal: bool) -> Console:
    """A console for standard output; markup needs ``markup=True``."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    class Plain(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*map(self._shown, objects), **options)

        def _shown(self, value: Any) -> Any:
            """Text that is visible; a table without blanks at the ends of its lines."""
            if not isinstance(value, Table):
                return visible(value) if isinstance(value, str) else value
            lines = [
                Text.assemble(*((part.text, part.style or "") for part in line))
                for line in self.render_lines(value)
            ]
            for line in lines:
                line.rstrip()
            return Text("\n").join(lines)

    width = None if is_terminal else WIDTH_OF_FILES
    return Plain(
        highlight=False, soft_wrap=True, width=width, markup=False, emoji=False
    )
