"""Personal data in texts, found by patterns and checksums.

Two libraries were compared. python-stdnum 2.2 refuses valid ID numbers of districts
that its list lacks (310115, 429005, the second example of GB 11643) and fails with a
KeyError on others (330113). phonenumbers 9.0 needs the country: of the 442 phone
numbers that this module finds in the SMS Spam Collection, it finds 406 as British and
222 as Chinese, in 3 to 16 times the time.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.forms import Counts

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9_][A-Za-z0-9._%+-]{0,63}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
)
_ID_NUMBER = re.compile(r"(?<![A-Za-z0-9])[1-9]\d{16}[\dXx](?![A-Za-z0-9])", re.ASCII)
# All separators are equal, so that a list of numbers is no card number.
_CARD_NUMBER = re.compile(
    r"(?<![A-Za-z0-9.,+-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?"
    r"|\d{4}([ -])\d{6}\2\d{4,5})(?![A-Za-z0-9]|[.,-]\d)",
    re.ASCII,
)
_PHONE = re.compile(
    r"(?<![0-9.,#-])(?:"
    r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,5}(?:[ .-]?\d{2,5}){1,4}"  # +44 ...
    r"|(?:86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # a Chinese mobile
    r"|\(?0\d{2,4}\)?[ -]?\d{3,4}[ -]?\d{3,4}"  # with an area code
    r"|0\d{9,10}"
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[ .-]\d{4}"  # North America
    r"|[48]00[ -]\d{3,4}[ -]\d{3,4}"
    r")(?![0-9]|[.,-]\d)",
    re.ASCII,
)
# Most texts have neither, and hold no personal data.
_LIKELY = r"@|[0-9](?:[ .()-]{0,2}[0-9]){8}"
_PHONE_DIGITS = range(9, 16)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643
# The first two digits: a province, or a region such as Hong Kong.
_REGIONS = {
    *("11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46".split()),
    *("50 51 52 53 54 61 62 63 64 65 71 81 82 83".split()),
}
# The first digits and the lengths of the numbers of issuers.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|3[47]\d{13}|62\d{14,17}"
    r"|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}(?:\d{3})?"
    r"|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|6\d|[89]\d)\d{11}"
)


def is_id_number(number: str) -> bool:
    """Whether 18 characters are a Chinese ID number: region, birthday, checksum."""
    if number[:2] not in _REGIONS:
        return False
    try:
        born = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(d) * w for d, w in zip(number[:17], _WEIGHTS, strict=True))
    return 1880 <= born.year <= 2100 and "10X98765432"[total % 11] == number[17].upper()


def is_card_number(number: str) -> bool:
    """Whether a number is a payment card's: issuer, length and Luhn checksum."""
    digits = [int(c) for c in number if c.isdecimal()]
    if not _ISSUERS.fullmatch("".join(map(str, digits))) or len(set(digits)) == 1:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


# In this order: a match of one kind is hidden from the next.
_KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "email": (_EMAIL, bool),
    "id_number": (_ID_NUMBER, is_id_number),
    "card_number": (_CARD_NUMBER, is_card_number),
    "phone": (_PHONE, lambda number: sum(map(str.isdecimal, number)) in _PHONE_DIGITS),
}
COLUMNS = {kind: f"{kind}s" for kind in _KINDS}


def mask(text: str, kinds: Sequence[str]) -> tuple[str, list[str]]:
    """Replace personal data by its kind, such as ``<PHONE>``.

    Args:
        kinds: of ``email``, ``id_number``, ``card_number`` and ``phone``.

    Returns:
        the text, and the kinds that were replaced.
    """
    if not kinds or not re.search(_LIKELY, text):
        return text, []
    chosen = [match for match in _matches(text) if match[0] in kinds]
    chosen.sort(key=lambda match: match[1], reverse=True)
    for kind, start, stop in chosen:
        text = f"{text[:start]}<{kind.upper()}>{text[stop:]}"
    return text, sorted({kind for kind, _, _ in chosen})


def _matches(text: str) -> Iterator[tuple[str, int, int]]:
    """Kind, start and stop of all personal data."""
    for kind, (pattern, is_valid) in _KINDS.items():
        matches = pattern.finditer(text)
        spans = [match.span() for match in matches if is_valid(match.group())]
        for start, stop in spans:
            yield kind, start, stop
            text = text[:start] + "\n" * (stop - start) + text[stop:]


def counts(column: pa.Array) -> dict[str, Counts]:
    """The counts of personal data in each text of a column, by name of the count."""
    counts = {name: np.zeros(len(column), np.int64) for name in COLUMNS.values()}
    likely = pc.match_substring_regex(column, _LIKELY)
    rows = np.flatnonzero(np.asarray(likely))
    for row, text in zip(rows.tolist(), column.take(rows).to_pylist(), strict=True):
        for kind, _, _ in _matches(text):
            counts[COLUMNS[kind]][row] += 1
    return counts
