"""Tells whether decoded text is Western European, by its accents and punctuation."""

from __future__ import annotations

import re

# Characters and positions that a Western European text does not have.
_ODD = re.compile(
    r"(?<=[a-z])[\u0160\u017d\u0152\u0178\xc0-\xde]"
    r"|(?<=[A-Za-z])[^\x00-\x7f\xc0-\xd6\xd8-\xf6\xf8-\xff"
    r"\u0160\u0161\u017d\u017e\u0152\u0153\u0178"
    r"\u2018\u2019\u2013\u2014\u2026\xa0\xad\xb4\xb7](?=[A-Za-z])"
    r"|(?<=[A-Za-z])[\u201a\u201e\u2030]"
    r"|[\xd0\xde\xf0\xfe\xff\xdd\xfd\xd7\xf7\x7f-\x9f\u0192\u02c6\u02dc\u2020\u2021]"
    r"|[^\x00-\xa0\u2018-\u201d\u2026\u2013\u2014\xab\xbb\xbf\xa1]{3,}"
)


def is_western(text: str) -> bool:
    """Whether the non-ASCII characters are those of Western European text."""
    total = sum(character > "\x7f" for character in text)
    odd: list[str] = _ODD.findall(text)
    # Both letters together are Hungarian in Windows-1250.
    is_hungarian = min(text.count("\xf5"), text.count("\xfb")) > 0.03 * total
    return sum(map(len, odd)) <= 0.02 * total and not is_hungarian
