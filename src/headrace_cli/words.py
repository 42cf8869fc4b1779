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

    class Plain(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            shown = (visible(o) if isinstance(o, str) else o for o in objects)
            super().print(*shown, **options)

    width = None if is_terminal else WIDTH_OF_FILES
    return Plain(
        highlight=False, soft_wrap=True, width=width, markup=False, emoji=False
    )
