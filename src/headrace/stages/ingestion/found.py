"""What is said about the files of a data set, beside the fate of single ones."""

from __future__ import annotations

from headrace.media.forms import Found, Shape
from headrace.records import Finding, Form


def notes_of(found: Found, items: int, form: Form) -> list[str]:
    """How many items were resized, and from which range of sizes."""
    if not found.resized:
        return []
    shape, mode = _size((form.shape or ())[:2]), form.options.get("resize")
    return [
        f"{found.resized:,} of {items:,} items: resized to {shape} by {mode}, from "
        f"{_size(found.smallest)} to {_size(found.largest)} pixels"
    ]


def findings_of(found: Found, items: int, form: Form) -> list[Finding]:
    """The warnings about enlarged items, and about files that say where they are from.

    Args:
        found: in all files.
        items: number of all items.
        form: that they were brought to.
    """
    findings = []
    if 2 * found.enlarged > items:
        message = (
            f"{found.enlarged:,} of {items:,} items have less than "
            f"{_size((form.shape or ())[:2])} pixels and were enlarged, which adds "
            "nothing but time: set a smaller data.shape"
        )
        findings.append(_finding("enlarged", found.enlarged, message))
    if found.positions:
        message = (
            f"{found.positions:,} files say where they were made (GPS). The position "
            "is dropped, and the files still have it."
        )
        findings.append(_finding("personal_data", found.positions, message))
    return findings


def _finding(check: str, count: int, message: str) -> Finding:
    return Finding(check=check, count=count, message=message)


def _size(sides: Shape) -> str:
    return " x ".join(f"{side:,}" for side in sides)
