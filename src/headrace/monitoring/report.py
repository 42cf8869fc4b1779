"""The report of a window: a page, pictures and metrics in MLflow, and Markdown."""

from __future__ import annotations

import base64
import contextlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pages import render
from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.monitoring.batches import Batch
from headrace.monitoring.profiles import Profile
from headrace.monitoring.records import MonitorRecord, drifted
from headrace.monitoring.reference import snapshot_of
from headrace.records import DataDescription, SnapshotRecord
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.tracking.artifacts import local_path
from headrace.tasks import task
from headrace.tasks.forms import Outputs

SAMPLES = 8
_PANELS = 9
_BINS = 24
_MOST_BARS = 20
_ACROSS = 3
Values = npt.NDArray[Any]
PAGE = "monitor.html"
TAG = "headrace.monitor"
VERSION_TAG = "headrace.monitor.version"
STATUS_TAG = "monitor"


def pictures_of(
    record: MonitorRecord, batch: Batch, profile: Profile
) -> dict[str, str]:
    """The pictures of a report as data URIs, by their captions."""
    pictures = {}
    shifts = [s for s in record.inputs if s.column in batch.columns][:_PANELS]
    if shifts:
        caption = "Inputs: the columns that differ most, of window and reference."
        names = [shift.column for shift in shifts]
        pairs = [(profile.columns[name], batch.columns[name]) for name in names]
        titles = [f"{s.column}: {s.severity}, effect {s.effect:.2f}" for s in shifts]
        pictures[caption] = draw_columns(titles, pairs)
    if record.answers:
        data = profile.facts.description
        both = (_answers(one, data) for one in (profile.outputs, batch.outputs))
        pictures["Answers of the window and of the reference."] = draw_answers(*both)
    return pictures


def draw_columns(titles: Sequence[str], pairs: Sequence[tuple[Values, Values]]) -> str:
    """Histograms of columns of the reference and of a window, as a data URI."""
    down = -(-len(pairs) // _ACROSS)
    figure = new_figure(3.6 * _ACROSS, 2.6 * down)
    grid = np.atleast_1d(figure.subplots(down, _ACROSS)).ravel()
    for axes in grid[len(pairs) :]:
        axes.axis("off")
    for axes, title, pair in zip(grid, titles, pairs, strict=False):
        _panel(axes, *pair)
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
    axes.legend(fontsize=7)
    return _as_uri(figure)


def _answers(outputs: Outputs, data: DataDescription) -> list[Any]:
    return task(data.task).answers.answers(outputs, data)


def _panel(axes: Any, reference: Values, window: Values) -> None:
    """Two histograms of one column; a flag is 0 or 1."""
    groups = {"reference": (reference, INK), "window": (window, ACCENT)}
    both = np.concatenate([reference, window]).astype(np.float64)
    both = both[np.isfinite(both)]
    if not len(both):
        return
    low, high = np.quantile(both, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    for label, (values, colour) in groups.items():
        finite = values[np.isfinite(values)].astype(np.float64)
        weights = np.full(len(finite), 100 / max(1, len(values)))
        look: dict[str, Any] = {"color": colour, "alpha": 0.5, "label": label}
        axes.hist(finite.clip(edges[0], edges[-1]), edges, weights=weights, **look)
    axes.set_ylabel("% of items")


def _bars(axes: Any, reference: Sequence[str], window: Sequence[str]) -> None:
    counts = {"reference": Counter(reference), "window": Counter(window)}
    common = sum(counts.values(), Counter()).most_common(_MOST_BARS)
    names = sorted(name for name, _ in common)
    places = np.arange(len(names))
    for (label, count), colour, shift in zip(
        counts.items(), (INK, ACCENT), (-0.2, 0.2), strict=True
    ):
        shares = [100 * count[name] / max(1, count.total()) for name in names]
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
    rows, head = np.arange(len(batch))[:SAMPLES], "window"
    if shifts := drifted(record.inputs):
        column = shifts[0].column.removesuffix(" not finite")
        rows = furthest(profile.columns[column], batch.columns[column])[:SAMPLES]
        head = f"window, the furthest by {column}"
    show, answers = medium(data.medium).as_html, _answers(batch.outputs[rows], data)
    reference = [show(one, data) for one in _reference_items(snapshot)]
    reference += [""] * (len(rows) - len(reference))
    cells = [
        {
            "window": show(batch.inputs[row], data),
            "answer": str(answer),
            "reference": other,
        }
        for row, answer, other in zip(rows, answers, reference, strict=False)
    ]
    return {"head": head, "rows": cells}


def furthest(reference: Values, window: Values) -> npt.NDArray[np.intp]:
    """The rows of a window by the distance of their value from the reference's median.

    Ties keep their order; values that are not finite are first.
    """
    middle = float(np.nanmedian(reference.astype(np.float64)))
    distance = np.abs(window.astype(np.float64) - middle)
    return np.argsort(-np.nan_to_num(distance, nan=np.inf), kind="stable")


def _reference_items(snapshot: SnapshotRecord | None) -> Payload | list[Any]:
    """The first items of the test split, which are a random sample; none if gone."""
    from headrace.data.snapshots.splits import SplitRows

    try:
        for part in SplitRows(snapshot, "test") if snapshot else ():
            return part.items[:SAMPLES]
    except IntegrityError:
        pass
    return []


def log_report(
    record: MonitorRecord,
    batch: Batch,
    profile: Profile,
    settings: Settings,
    tags: Mapping[str, str],
) -> MonitorRecord:
    """Log a page and the metrics as a run of the model's experiment in MLflow.

    Args:
        record: the report.
        batch: the rows of the window.
        profile: the reference.
        settings: where MLflow and the store are.
        tags: of the run, beside those that say what it is.

    Returns:
        the report with the id of the run and a link to the page.

    Raises:
        DependencyError: MLflow failed.
    """
    tracking = Home(settings).tracking
    name = f"monitor {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    own = {TAG: PAGE, VERSION_TAG: str(record.version), STATUS_TAG: record.status}
    page = render(PAGE, **_contents(record, batch, profile, settings))
    with tracking.run(record.model, name, {**tags, **own}) as ids:
        run_id, experiment_id = ids
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            (Path(place) / PAGE).write_text(page, encoding="utf-8")
            text = record.model_dump_json(indent=1)
            (Path(place) / "monitor.json").write_text(text, encoding="utf-8")
            tracking.log_files(run_id, Path(place))
        tracking.log_metrics(run_id, record.metrics)
    where = f"{tracking.run_place(run_id)}/{PAGE}"
    links = {"report": str(local_path(where) or where)}
    update = {"run_id": run_id, "experiment_id": experiment_id, "links": links}
    return record.model_copy(update=update)


def _contents(
    record: MonitorRecord, batch: Batch, profile: Profile, settings: Settings
) -> dict[str, Any]:
    """The variables of the template of the page."""
    snapshot = None
    with contextlib.suppress(IntegrityError):  # then there are no reference samples
        version = Home(settings).ledger.version(record.model, record.version)
        snapshot = snapshot_of(version, Home(settings).store)
    return {
        "title": f"{record.model}, version {record.version}: {record.status}",
        "record": record,
        "reference": profile.facts,
        "pictures": pictures_of(record, batch, profile),
        "samples": samples(record, batch, profile, snapshot),
    }


def as_markdown(record: MonitorRecord) -> str:
    """The report as Markdown, without pictures."""
    return render("monitor.md", record=record)
