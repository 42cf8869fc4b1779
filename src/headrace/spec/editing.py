"""Changes the threshold of a gate in the text of a pipeline file, and nothing else.

Comments, order and blank lines stay as they are. Whether the text then says what was
meant is for the caller to check: only files with ``[[gates]]`` tables are understood.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.signs import UNSEEN

MARK = "# headrace gate:"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
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
            lines[row] = f"{head}{_number(threshold)}{after}"
            return "\n".join(lines)
    lines.insert(first, f"threshold = {_number(threshold)}  {MARK} {comment}{end}")
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
            added.append(f"threshold = {_number(threshold)}  {MARK} added{end}")
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


def _number(value: float) -> str:
    return as_toml(int(value) if value == int(value) else value)


def as_toml(value: Any) -> str:
    """A value in TOML, in one line, with its invisible characters escaped.

    Args:
        value: text, a number, a path, NumPy's, or a list or mapping of these.

    Raises:
        TypeError: TOML has no such value.
    """
    if not isinstance(value, str) and hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    if isinstance(value, Mapping):
        pairs = (f"{_key(str(name))} = {as_toml(one)}" for name, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r}, of type {type(value).__name__}")
    text = json.dumps(value, ensure_ascii=False)
    return UNSEEN.sub(lambda match: f"\\U{ord(match[0]):08x}", text)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else as_toml(name)
