"""What people read: invisible and control characters, Markdown, and counts."""

from __future__ import annotations

import re

# Control characters, line separators, bidirectional and zero-width characters. Not
# tabs and line feeds, nor the joiners that letters and emoji need.
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# With which a spreadsheet would begin a formula, and with which text escapes begin.
FORMULA_START = r"^[=+\-@\t\r\n'＝＋－＠]"
# Ends of the names of metrics that are counts; all metrics are kept as floats.
_COUNTED = re.compile(
    r"(rows|items|slices|labels|values|words|personal.data|than.template|apart)$"
)
_MARKDOWN = re.compile(r"[\\`*\[\]<>|&]")


def as_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if re.match(FORMULA_START, text) else text


def visible(text: str) -> str:
    """A text with these characters as escape sequences; line feeds are kept."""
    return UNSEEN.sub(_escape, text)


def number_of(count: int, things: str) -> str:
    """A count of things, such as ``3 copies of models`` or ``1 copy of models``."""
    if count == 1:
        name, of, rest = things.partition(" of ")
        name = re.sub(r"s\b", "", re.sub(r"ies\b", "y", name))
        things = f"{name}{of}{rest}"
    return f"{count:,} {things}"


def as_score(value: float | None, name: str = "") -> str:
    """A score, or another metric, with four decimals.

    Of 1,000 and more it has one; what is nearly 0 has four digits.

    Args:
        value: the metric; empty for None.
        name: of the metric; what it counts, such as ``weak_slices``, has no decimals.
    """
    if value is None:
        return ""
    size = abs(float(value))
    if size.is_integer() and _COUNTED.search(name):
        return f"{value:,.0f}"
    if 0 < size < 0.001:
        return f"{value:.4g}"
    return f"{value + 0.0:,.{4 if size < 1000 else 1}f}"  # 0 for -0


def beginning(data: bytes) -> str:
    """How a file begins: in quotes if it is ASCII text, else in hexadecimal."""
    if data.isascii() and data and data.decode().isprintable():
        return repr(data.decode())
    return data.hex(" ") or "nothing"


def _escape(character: re.Match[str]) -> str:
    code = ord(character[0])
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


def as_markdown(text: str) -> str:
    """A text of the data in one line, with Markdown's special characters escaped."""
    return _MARKDOWN.sub(r"\\\g<0>", visible(text).replace("\n", "\\n"))


def as_code(text: str) -> str:
    """A text of the data as inline code of Markdown."""
    if "`" in text:
        return as_markdown(text)
    return f"`{visible(text)}`".replace("\n", "\\n")
