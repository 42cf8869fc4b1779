"""Rows of figures with their bounds: as a table, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLOURS = {"aim": "green", "kept": "yellow", "missed": "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: the measurement it belongs to; what ``--only`` takes.
        what: what it is.
        value: the figure; none where it could not be had, and ``note`` says why.
        unit: of value and bounds.
        at_least: the bound.
        aim: what is hoped for.
        rising: whether more is better.
        samples: what the value is the median of.
        parts: what it is made of, or was measured beside it.
        note: one sentence.
    """

    name: str
    what: str
    value: float | None
    unit: str = ""
    at_least: float | None = None
    aim: float | None = None
    rising: bool = False
    samples: Sequence[float] = ()
    parts: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def verdict(self) -> str:
        """``aim``, ``kept``, ``missed``, ``measured`` or ``not available``."""
        if self.value is None:
            return "not available"
        if self.at_least is None and self.aim is None:
            return "measured"
        if self.aim is not None and self._holds(self.aim):
            return "aim"
        bound = self.at_least if self.at_least is not None else self.aim
        return "kept" if bound is not None and self._holds(bound) else "missed"

    def _holds(self, bound: float) -> bool:
        if self.value is None:
            return False
        return self.value >= bound if self.rising else self.value <= bound

    def as_json(self) -> dict[str, Any]:
        """As plain values, with the verdict."""
        return {**asdict(self), "samples": list(self.samples), "verdict": self.verdict}


def median_row(name: str, what: str, samples: Sequence[float], **more: Any) -> Row:
    """A row whose value is the median of its samples."""
    return Row(name, what, median(samples), samples=list(samples), **more)


def missing_row(name: str, what: str, note: str, **more: Any) -> Row:
    """A row without a figure."""
    return Row(name, what, None, note=note, **more)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """The ratio of each pair."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the table."""
    table = Table(title="Headrace, measured", title_justify="left", show_lines=True)
    for heading in ("row", "what"):
        table.add_column(heading)
    for heading in ("measured", "bound", "aim"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for row in rows:
        colour = COLOURS.get(row.verdict, "dim")
        table.add_row(
            row.name,
            _explained(row),
            _number(row.value, row.unit),
            _number(row.at_least),
            _number(row.aim),
            f"[{colour}]{row.verdict}[/]",
        )
    console.print(table)


def _explained(row: Row) -> str:
    lines = [escape(row.what)]
    if len(row.samples) > 1:
        spread = f"{_number(min(row.samples))} to {_number(max(row.samples))}"
        lines.append(f"[dim]median of {len(row.samples)}: {spread}[/]")
    lines += [f"[dim]{escape(name)}: {_part(part)}[/]" for name, part in _flat(row)]
    if row.note:
        lines.append(f"[italic]{escape(row.note)}[/]")
    return "\n".join(lines)


def _flat(row: Row) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in row.parts.items() if part not in ({}, [])]


def _part(part: Any) -> str:
    if isinstance(part, dict):
        return ", ".join(f"{escape(str(k))} {_part(v)}" for k, v in part.items())
    if isinstance(part, list | tuple):
        return " ".join(_part(value) for value in part)
    if isinstance(part, float):
        return _number(part)
    return escape(str(part))


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    if isinstance(value, int) or abs(value) >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
    return f"{text} {unit}".strip()
