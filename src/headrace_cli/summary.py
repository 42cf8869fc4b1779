"""The summary of a run, as text on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from textwrap import indent, shorten
from typing import TYPE_CHECKING

from headrace.display.signs import as_score
from headrace_cli.answers import marked, one_line, show_table, show_text

if TYPE_CHECKING:
    from headrace.records import StageReport
    from headrace.settings import Settings
    from headrace.tasks import Task
    from headrace_flows.summary import Summary

_GROUPS_SHOWN = 10
_COLOURS = {"promoted": "green", "unchanged": "green", "refused": "red", "error": "red"}


def show_summary(summary: Summary, settings: Settings) -> None:
    """Print the summary of a run."""
    from headrace.tasks import task

    status, colour = summary.status, _COLOURS.get(summary.status, "yellow")
    version = f" version {summary.version}" if summary.version else ""
    show_text(
        f"\n[bold]{marked(summary.pipeline)}{version}: "
        f"[{colour}]{status}[/][/] in {summary.seconds:.1f} s",
        markup=True,
    )
    show_text(indent(summary.reason, "  "))
    if summary.experiment:
        _show_lines([f"experiment: it overrides {', '.join(summary.overrides)}"])
    show_table([_stage(stage, summary) for stage in summary.stages], indent="  ")
    _show_lines(_training(summary))
    if summary.metrics:
        learned = task(summary.task)
        show_text(f"  {learned.answers.figures(summary.metrics)}", style="bold")
        _show_lines(_slices(summary, learned))
    _show_gates(summary)
    show_warnings((one.check, one.message) for one in summary.warnings)
    _show_lines(_data(summary))
    _show_lines(f"{name}: {link}" for name, link in summary.links.items())
    if summary.has_report:
        _show_lines([f"report: headrace open {summary.pipeline}"])
    ids = {"mlflow": summary.run_id, "prefect": summary.flow_run_id}
    show_where_pages_open(ids, summary.links)
    _show_lines([f"home: {settings.home.absolute()}"])


def _show_lines(lines: Iterable[str]) -> None:
    for line in lines:
        show_text(f"  {one_line(line)}")


def _stage(stage: StageReport, summary: Summary) -> tuple[str, str, str, str]:
    why = "" if stage.why in summary.reason else shorten(stage.why, 100)
    seconds = f"{stage.seconds:.1f} s" if stage.seconds else ""
    return stage.name, stage.state, seconds, why


def _training(summary: Summary) -> Iterator[str]:
    """Lines on the training: its privacy, and the epoch whose weights were kept."""
    if privacy := summary.privacy:
        yield (
            f"private: epsilon {privacy.epsilon:.4g} at delta "
            f"{privacy.delta:.2g}, for each of {privacy.rows:,} rows of train"
        )
    if stopped := summary.stopped_early:
        yield (
            f"stopped early: after epoch {stopped.epoch} of {stopped.epochs}; "
            f"the model has the weights of epoch {stopped.best_epoch}"
        )
    if kept := summary.kept_epoch:
        yield (
            f"kept: epoch {kept.epoch} of {kept.epochs}, which has the lowest "
            "validation loss"
        )


def show_where_pages_open(
    ids: Mapping[str, str | None], links: Mapping[str, str]
) -> None:
    """Print the command that serves the pages of a run which have no link now.

    Args:
        ids: of the run, by the name of the server that has it.
        links: the pages that are served.
    """
    if missing := [name for name, run in ids.items() if run and name not in links]:
        show_text(f"  {', '.join(missing)}: headrace up")


def show_warnings(warnings: Iterable[tuple[str, str]]) -> None:
    """Print the warnings of a run or a check: what was checked, and the message."""
    for check, message in warnings:
        text = f"  [yellow]warning[/] {marked(check)}: {marked(message)}"
        show_text(text, markup=True)


def _slices(summary: Summary, learned: Task) -> list[str]:
    """Lines on classes and groups, which the metrics of all rows hide."""
    slices, metrics, score = summary.slices, summary.metrics, learned.score
    lines = learned.answers.highlights(metrics, slices)
    groups = [name for name in slices if name.startswith("group=")]
    if groups:
        name = score.replace("_", " ")
        scores = ", ".join(
            f"{group.removeprefix('group=')} {as_score(slices[group][score])}"
            for group in groups[:_GROUPS_SHOWN]
        )
        more = len(groups) - _GROUPS_SHOWN
        lines.append(f"{name} by group: {scores}" + f" and {more} more" * (more > 0))
    if (unseen := slices.get("groups=unseen")) is not None:
        line = f"groups not in train: {as_score(unseen[score])}"
        if "confidence" in unseen:
            sure, right = unseen["confidence"], unseen["right"]
            line += f" (mean confidence {sure:.2f}, {right:.2f} are right)"
        if f"{score}_seen_groups" in metrics:
            line += f", those that it has: {as_score(metrics[f'{score}_seen_groups'])}"
        lines.append(line)
    return lines


def _show_gates(summary: Summary) -> None:
    """Print the gates, and the stricter ones that a first run supports."""
    states = {stage.name: stage.state for stage in summary.stages}
    if summary.gates and states.get("evaluate") == "cached" and summary.version:
        _show_lines([f"gates as of the evaluation of version {summary.version}:"])
    rows = [
        (f"gate {one.name}", "pass" if one.passed else "FAIL", one.figures, one.reason)
        for one in summary.gates
    ]
    show_table(rows, indent="  ")
    stricter = ", ".join(
        f"{one.gate} {one.threshold:g} (now {one.now:g})"
        for one in summary.supported_gates
    )
    if stricter:
        where = "write them into the pipeline's file"
        _show_lines([f"its intervals support stricter gates: {stricter}; {where}"])


def _data(summary: Summary) -> Iterator[str]:
    """Lines on the data."""
    if snapshot := summary.snapshot:
        rows = ", ".join(f"{n:,} {split}" for split, n in snapshot.rows.items())
        yield (
            f"data: {rows}; {snapshot.quarantined:,} in quarantine; "
            f"snapshot {snapshot.digest[:12]}"
        )
        yield from snapshot.notes
        if snapshot.attribution:
            yield snapshot.attribution
