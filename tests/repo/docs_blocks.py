"""Code blocks, inline code and links of the documentation's pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "infra" / "README.md",
    *sorted((ROOT / "pipelines").glob("*/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
_NOTE = re.compile(r"<!-- (not run|slow|file|figure): (.+) -->")
_LABEL = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: such as ``bash``; of a directive, its name in braces.
        note: ``not run`` and why, ``slow`` and why, ``file`` and its path in the
            project, or ``figure`` and the name of what its answer is drawn in; from a
            comment on the line before.
    """

    page: Path
    line: int
    language: str
    text: str
    note: tuple[str, str]

    def __str__(self):
        return f"{name_of(self.page)}:{self.line}"


def name_of(page):
    """A page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page):
    """The fenced blocks of a page, in order."""
    found = []
    lines = page.read_text(encoding="utf-8").splitlines()
    start = 0
    for number, line in enumerate(lines, 1):
        if not line.startswith("```"):
            continue
        if not start:
            start = number
            continue
        before = _NOTE.fullmatch(lines[start - 2]) if start > 1 else None
        found.append(
            Block(
                page,
                start,
                lines[start - 1].removeprefix("```").strip(),
                "\n".join(lines[start : number - 1]) + "\n",
                (before[1], before[2]) if before else ("", ""),
            )
        )
        start = 0
    assert not start, f"{name_of(page)}:{start}: a block is not closed"
    return found


def prose_of(page):
    """A page without its fenced blocks."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def inline_code_of(page):
    """The code in the sentences of a page."""
    return re.findall(r"`([^`\n]+)`", prose_of(page))


def links_of(page):
    """The targets of links and pictures that are in the repository."""
    links = re.findall(r"\]\(([^)\s]+)\)", prose_of(page))
    return [link for link in links if "://" not in link]


def anchors_of(page):
    """What a link to a page may name after ``#``: headings and labels."""
    text = prose_of(page)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain} | set(_LABEL.findall(text))
