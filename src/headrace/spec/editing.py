"""Changes the threshold of a gate in the text of a pipeline file, and nothing else.

Comments, order and blank lines stay as they are. Whether the text then says what was
meant is for the caller to check: only files with ``[[gates]]`` tables are understood.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence

MARK = "# headrace gate:"
_GATE = re.compile(r"\s*\[\[\s*(gates|\"gates\"|'gates')\s*\]\]\s*(#.*)?$")
_PART = re.compile(r"\s*\[\[?\s*(gates|\"gates\"|'gates')\s*[.\]]")
_TABLE = re.compile(r"\s*\[")
_THRESHOLD = re.compile(r"(\s*threshold\s*=\s*)([^\s#]+)(.*)$")
_OURS = re.compile(rf"\s*{re.escape(MARK)}.*$")


def set_threshold(text: str, place: int, threshold: float, comment: str) -> str:
    """The text of a file with another threshold in one of its gates.

    Args:
        text: of the file.
        place: of the gate among the ``[[gates]]``, from 0.
        threshold: to write.
        comment: why; it replaces an earlier one of this kind.
    """
    lines = text.split("\n")
    heads = [row for row, line in enumerate(lines) if _GATE.match(line)]
    if place >= len(heads):
        return text
    first = heads[place] + 1
    end = "\r" if lines[heads[place]].endswith("\r") else ""
    rest = itertools.takewhile(lambda line: not _TABLE.match(line), lines[first:])
    for row, line in enumerate(rest, start=first):
        if match := _THRESHOLD.match(line.rstrip("\r")):
            head, _, tail = match.groups()
            after = f"{_OURS.sub('', tail).rstrip()}  {MARK} {comment}{end}"
            lines[row] = f"{head}{as_toml(threshold)}{after}"
            return "\n".join(lines)
    lines.insert(first, f"threshold = {as_toml(threshold)}  {MARK} {comment}{end}")
    return "\n".join(lines)


def add_gates(text: str, gates: Sequence[tuple[str, float | None]]) -> str:
    """The text of a file with more gates, after those that it has.

    Args:
        text: of the file.
        gates: the name and the threshold of each; None to leave the threshold out.
    """
    lines = text.split("\n")
    end = "\r" if lines[0].endswith("\r") else ""
    added = []
    for name, threshold in gates:
        added += [end, f"[[gates]]{end}", f"name = {json.dumps(name)}{end}"]
        if threshold is not None:
            added.append(f"threshold = {as_toml(threshold)}  {MARK} added{end}")
    last = max((row for row, line in enumerate(lines) if _PART.match(line)), default=-1)
    rest = range(last + 1 if last >= 0 else len(lines), len(lines))
    stop = next((row for row in rest if _TABLE.match(lines[row])), len(lines))
    after = lines[stop:]
    # A comment above a table belongs to it.
    while stop and _is_blank(lines[stop - 1], or_comment=bool(after)):
        stop -= 1
    after = lines[stop:] if after else [""]
    before = lines[:stop]
    before[-1:] = [line.rstrip("\r") + end for line in before[-1:]]
    return "\n".join([*before, *added, *after])


def _is_blank(line: str, *, or_comment: bool) -> bool:
    return not line.strip() or (or_comment and line.lstrip().startswith("#"))


def as_toml(value: float) -> str:
    """A number in TOML."""
    return str(int(value)) if value == int(value) else repr(value)
