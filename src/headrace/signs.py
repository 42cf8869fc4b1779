"""Signs that nobody sees, but that terminals, editors and readers of text obey."""

from __future__ import annotations

import re

# Controls, separators of lines, signs of direction, and signs without a width. Not
# tabs and line feeds, nor the joiners that letters and emoji need.
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# What Markdown takes for more than text.
_MARKS = re.compile(r"[\\`*\[\]<>|&]")


def visible(text: str) -> str:
    """A text in which such signs can be read; it may have lines."""
    return UNSEEN.sub(lambda found: _escaped(found[0]), text)


def _escaped(sign: str) -> str:
    code = ord(sign)
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


def as_markdown(text: str) -> str:
    """A text of the data as Markdown shows it: as it is, in one line."""
    return _MARKS.sub(r"\\\g<0>", visible(text).replace("\n", "\\n"))


def as_code(text: str) -> str:
    """A text of the data as Markdown's code."""
    if "`" in text:
        return as_markdown(text)
    return f"`{visible(text)}`".replace("\n", "\\n")
