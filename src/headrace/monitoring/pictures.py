"""Pictures of a window: distributions beside the reference's, and samples."""

from __future__ import annotations

import base64
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.monitoring.batches import Batch
from headrace.monitoring.profiles import Profile
from headrace.monitoring.records import MonitorRecord, Shift
from headrace.records import DataDescription, SnapshotRecord
from headrace.tasks import task
from headrace.tasks.forms import Outputs

SAMPLES = 8
_PANELS = 9
_BINS = 24
_MOST_BARS = 20
_NARROW = 3
Values = npt.NDArray[Any]


def draw_shifts(
    shifts: Sequence[Shift],
    reference: Mapping[str, Values],
    window: Mapping[str, Values],
) -> str:
    """Histograms of the columns with the largest effects, as a data URI; or empty.

    Args:
        shifts: the largest effect first; those without a column are left out.
        reference, window: their columns by name, ``(n,)`` each.
    """
    drawn = [s for s in shifts if s.column in window and s.column in reference]
    drawn = drawn[:_PANELS]
    if not drawn:
        return ""
    across = min(_NARROW, len(drawn))
    down = -(-len(drawn) // across)
    figure = new_figure(3.6 * across, 2.6 * down)
    grid = np.atleast_1d(figure.subplots(down, across)).ravel()
    for axes in grid[len(drawn) :]:
        axes.axis("off")
    for axes, shift in zip(grid, drawn, strict=False):
        _panel(axes, reference[shift.column], window[shift.column])
        title = f"{shift.column}: {shift.severity}, effect {shift.effect:.2f}"
        axes.set_title(title, fontsize=9)
    grid[0].legend(fontsize=7)
    return _as_uri(figure)


def draw_answers(reference: Sequence[Any], window: Sequence[Any]) -> str:
    """The answers of the window and of the reference, as a data URI."""
    figure = new_figure(9, 2.8)
    axes = figure.subplots()
    if isinstance(reference[0], float):
        _panel(axes, *(np.asarray(values, float) for values in (reference, window)))
    else:
        _bars(axes, [*map(str, reference)], [*map(str, window)])
    axes.set_title("answers", fontsize=9)
    axes.legend(fontsize=7)
    return _as_uri(figure)


def _answers(outputs: Outputs, data: DataDescription) -> list[Any]:
    return task(data.task).answers.answers(outputs, data)


def _panel(axes: Any, reference: Values, window: Values) -> None:
    """Two histograms of one column; of a flag, the shares of the rows that have it."""
    groups = {"reference": (reference, INK), "window": (window, ACCENT)}
    if reference.dtype.kind == "b":
        shares = [100 * float(np.mean(v.astype(float))) for v, _ in groups.values()]
        colours = [colour for _, colour in groups.values()]
        axes.bar([*groups], shares, color=colours, label=[*groups])
        axes.set_ylabel("% of items")
        return
    both = np.concatenate([reference, window]).astype(np.float64)
    both = both[np.isfinite(both)]
    if not len(both):
        return
    low, high = np.quantile(both, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    for label, (values, colour) in groups.items():
        inside = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
        weights = np.full(len(inside), 100 / max(1, len(values)))
        axes.hist(inside, edges, weights=weights, color=colour, alpha=0.5, label=label)
    axes.set_ylabel("% of items")


def _bars(axes: Any, reference: Sequence[str], window: Sequence[str]) -> None:
    counts = [Counter(reference), Counter(window)]
    every = counts[0] + counts[1]
    names = sorted(sorted(every, key=lambda name: -every[name])[:_MOST_BARS])
    places = np.arange(len(names))
    groups = (("reference", INK, -0.2), ("window", ACCENT, 0.2))
    for count, (label, colour, shift) in zip(counts, groups, strict=True):
        total = max(1, count.total())
        shares = [100 * count[name] / total for name in names]
        axes.bar(places + shift, shares, 0.4, color=colour, label=label)
    axes.set_xticks(places, [name[:_MOST_BARS] for name in names])
    axes.set_ylabel("% of answers")


def _as_uri(figure: Any) -> str:
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        path = Path(folder) / "picture.png"
        save(figure, path)
        data = base64.b64encode(path.read_bytes()).decode()
    return f"data:image/png;base64,{data}"


def samples(
    record: MonitorRecord,
    batch: Batch,
    profile: Profile,
    snapshot: SnapshotRecord | None,
) -> dict[str, Any] | None:
    """Items of the window beside items of the reference, as a table of the report.

    Those of the window are the furthest from the reference in the column of the inputs
    that drifted most; without such a column, the first ones.

    Args:
        record: the report.
        batch: of the window.
        profile: the reference.
        snapshot: of the version; None where it is gone.

    Returns:
        None where the window has no items at hand.
    """
    if batch.inputs is None or not len(batch):
        return None
    data = profile.facts.description
    module, drifted = (
        medium(data.medium),
        [s for s in record.inputs if s in record.drifted],
    )
    rows, head = np.arange(min(SAMPLES, len(batch))), "window"
    if drifted:
        column = max(drifted, key=lambda shift: shift.effect).column
        rows = furthest(profile.columns[column], batch.columns[column])[:SAMPLES]
        head = f"window, the furthest by {column}"
    reference = _reference_items(snapshot) if snapshot else batch.inputs[:0]
    answers = _answers(batch.outputs[rows], data)
    cells = []
    for place, row in enumerate(rows.tolist()):
        other = ""
        if place < len(reference):
            other = module.as_html(reference[place], data)
        cells.append(
            {
                "window": module.as_html(batch.inputs[row], data),
                "answer": str(answers[place]),
                "reference": other,
            }
        )
    return {"head": head, "rows": cells}


def furthest(reference: Values, window: Values) -> npt.NDArray[np.intp]:
    """The rows of a window by the distance of their value from the reference's median.

    Ties keep their order; missing values are last.
    """
    middle = float(np.nanmedian(reference.astype(np.float64)))
    distance = np.abs(window.astype(np.float64) - middle)
    return np.argsort(-np.nan_to_num(distance, nan=-1.0), kind="stable")


def _reference_items(snapshot: SnapshotRecord) -> Payload:
    """The first items of the test split, which are a random sample."""
    from headrace.data.snapshots.splits import SplitRows

    module = medium(snapshot.description.medium)
    try:
        rows = SplitRows(snapshot, "test")
        for part in rows:
            return part.items[:SAMPLES]
    except IntegrityError:
        pass
    return np.zeros((0, *snapshot.description.shape), module.DTYPE)


def pictures_of(
    record: MonitorRecord, batch: Batch, profile: Profile
) -> dict[str, str]:
    """The pictures of a report as data URIs, by their captions."""
    if not record.inputs and not record.answers:
        return {}
    data = profile.facts.description
    both = profile.outputs, batch.outputs
    outputs = [task(data.task).judge.monitored(one, data) for one in both]
    uris = {
        "Inputs: the columns that differ most, of the window and of the reference.": (
            draw_shifts(record.inputs, profile.columns, batch.columns)
        ),
        "Answers of the window and of the reference.": draw_answers(
            *(_answers(one, data) for one in both)
        ),
        "Outputs: those that differ most.": draw_shifts(
            record.answers[:_NARROW], *outputs
        ),
    }
    return {caption: uri for caption, uri in uris.items() if uri}
