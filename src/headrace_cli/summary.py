"""The summary of a run, as text on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import indent, shorten
from typing import TYPE_CHECKING

from headrace.signs import as_score, number_of
from headrace_cli.answers import marked, one_line, show_table, show_text

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.tasks import Task
    from headrace_flows.summary import SnapshotFacts, Summary

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
        fields = one_line(", ".join(summary.overrides))
        show_text(f"  experiment: it overrides {fields}")
    stages: list[tuple[str, str, str, str]] = []
    for stage in summary.stages:
        seconds = f"{stage.seconds:.1f} s" if stage.seconds else ""
        is_shown = stage.why in summary.reason
        why = "" if is_shown else shorten(one_line(stage.why), 100)
        stages.append((stage.name, stage.state, seconds, why))
    done = sum(stage.seconds for stage in summary.stages)
    rest = summary.seconds - done
    if done and rest >= 1:
        stages.append(("other", "", f"{rest:.1f} s", "start, servers and records"))
    show_table(stages, indent="  ")
    if privacy := summary.privacy:
        show_text(
            f"  private: epsilon {privacy.epsilon:.4g} at delta "
            f"{privacy.delta:.2g}, for each of {privacy.rows:,} rows of train"
        )
    if stopped := summary.stopped_early:
        show_text(
            f"  stopped early: after epoch {stopped.epoch} of {stopped.epochs}; "
            f"the model has the weights of epoch {stopped.best_epoch}"
        )
    if kept := summary.kept_epoch:
        show_text(
            f"  kept: epoch {kept.epoch} of {kept.epochs}, which has the lowest "
            "validation loss"
        )
    if summary.metrics:
        learned = task(summary.task)
        show_text(f"  {learned.answers.figures(summary.metrics)}", style="bold")
        for line in _slices(summary, learned):
            show_text(f"  {one_line(line)}")
    _show_gates(summary)
    _show_supported(summary)
    show_warnings((one.check, one.message) for one in summary.warnings)
    _show_suspects(summary)
    _show_snapshot(summary.snapshot)
    for name, link in summary.links.items():
        show_text(f"  {name}: {link}")
    if summary.has_report:
        show_text(f"  report: headrace open {one_line(summary.pipeline)}")
    ids = {"mlflow": summary.run_id, "prefect": summary.flow_run_id}
    show_where_pages_open(ids, summary.links)
    show_text(f"  home: {settings.home.absolute()}")


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
    gates = summary.gates
    states = {stage.name: stage.state for stage in summary.stages}
    if gates and states.get("evaluate") == "cached" and summary.version:
        text = f"  gates as of the evaluation of version {summary.version}:"
        show_text(text)
    names = [one_line(gate.name) for gate in gates]
    longest = max(map(len, names), default=0)
    compared = [one_line(gate.figures) for gate in gates]
    width = max(map(len, compared), default=0)
    for name, what, gate in zip(names, compared, gates, strict=True):
        mark = "[green]pass[/]" if gate.passed else "[red]FAIL[/]"
        rest = f"{marked(f'{what:<{width}}')}  {marked(gate.reason)}"
        text = f"  gate {marked(f'{name:<{longest}}')}  {mark}  {rest}"
        show_text(text.rstrip(), markup=True)


def _show_supported(summary: Summary) -> None:
    """Print the stricter gates that a first run supports."""
    gates = [
        f"{one_line(one.gate)} {one.threshold:g} (now {one.now:g})"
        for one in summary.supported_gates
    ]
    if gates:
        show_text(
            f"  its intervals support stricter gates: {', '.join(gates)}; write them "
            "into the pipeline's file"
        )


def _show_suspects(summary: Summary) -> None:
    if not (suspects := summary.suspects):
        return
    first = suspects[0]
    show_text(
        f"  {number_of(len(suspects), 'labels')} to look at; first "
        f"{one_line(first.name)}: labelled {one_line(first.label)}, "
        f"predicted {one_line(first.likely)}; review: headrace relabel "
        f"{summary.pipeline}"
    )


def _show_snapshot(snapshot: SnapshotFacts | None) -> None:
    if not snapshot:
        return
    rows = ", ".join(f"{n:,} {split}" for split, n in snapshot.rows.items())
    show_text(
        f"  data: {rows}; {snapshot.quarantined:,} in quarantine; "
        f"snapshot {snapshot.digest[:12]}",
    )
    for note in snapshot.notes:
        show_text(f"  {one_line(note)}")
    if snapshot.attribution:
        show_text(f"  {snapshot.attribution}")
