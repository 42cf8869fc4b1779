"""The gates of a pipeline: what the last version's intervals support, and a change.

A threshold is written into the pipeline file, whose comments and layout stay. The file
is written whole or not at all, and only if it then says the change and nothing else.
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.errors import NotFoundError, Refusal, SpecError, UsageError
from headrace.gates.supported import supported
from headrace.records import Record
from headrace.settings import Settings
from headrace.spec import PipelineSpec, load_spec
from headrace.spec.editing import add_gates, set_threshold
from headrace.spec.files import FILE_NAME, read_tables
from headrace.spec.folders import find_pipeline, pipeline_places
from headrace.spec.pipeline import known_gates
from headrace.spec.thresholds import check_threshold, find_gate
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.home import Home
from headrace.use.checking import check_gates


class GateFacts(Record):
    """One gate of a pipeline.

    Attributes:
        name: of the gate.
        threshold: in the file, or the known gate's own; None where it has none.
        value: of its metric in the version that counts; None where it has none.
        supported: a stricter threshold that its interval supports; None if there is
            none.
    """

    name: str
    threshold: float | None
    value: float | None
    supported: float | None


class ChangedGate(Record):
    """A gate that was written; ``before`` is None where the file had none."""

    name: str
    before: float | None
    after: float


class Gates(Record):
    """The gates of a pipeline, after a change or without one.

    Attributes:
        file: the pipeline file.
        version: whose metrics count: the champion, else the newest; None without one.
        gates: all of them, as they were.
        changed: those that were written.
    """

    pipeline: str
    file: str
    version: int | None
    gates: tuple[GateFacts, ...]
    changed: tuple[ChangedGate, ...] = ()


def list_gates(name: str, settings: Settings) -> Gates:
    """The gates of a pipeline, and the thresholds that they could have.

    Raises:
        NotFoundError: there is no such pipeline.
        SpecError: its file is invalid.
    """
    return _read(name, settings)[0]


def change_gate(name: str, gate: str, threshold: float, settings: Settings) -> Gates:
    """Write a threshold into a pipeline file, for a gate that it has or a known one.

    Args:
        name: of the pipeline, or its folder.
        gate: its name.
        threshold: the new one.
        settings: where the project is.

    Raises:
        NotFoundError: there is no such pipeline.
        UsageError: the pipeline is none of the project's own.
        SpecError: there is no such gate, or the threshold makes no sense for it; or the
            file is written in a way that is not understood.
        DependencyError: the disk failed.
    """
    with _alone(name, settings) as (gates, spec, folder):
        check_threshold(spec, gate, threshold)
        return _write(gates, spec, folder, {gate: threshold}, "set by hand")


def apply_supported(name: str, gate: str, settings: Settings) -> Gates:
    """Write the thresholds that the intervals support into a pipeline file.

    Args:
        name: of the pipeline, or its folder.
        gate: the only one to change; empty for all.
        settings: where the project and the ledger are.

    Raises:
        Refusal: there is no version yet, or nothing stricter is supported.
        NotFoundError, UsageError, SpecError, DependencyError: as for `change_gate`.
    """
    with _alone(name, settings) as (gates, spec, folder):
        if gates.version is None:
            raise Refusal(
                f"{spec.name} has no version whose interval could support a threshold.",
                f"Run `headrace run {spec.name}` first.",
            )
        if gate:
            find_gate(spec, gate)
        wanted = {
            one.name: one.supported
            for one in gates.gates
            if one.supported is not None and gate in ("", one.name)
        }
        if not wanted:
            what = f"the gate {gate!r}" if gate else "any gate"
            raise Refusal(
                f"Version {gates.version} of {spec.name} supports no stricter "
                f"threshold for {what}: it is as strict already, or its metric has no "
                "interval.",
                f"Give a value: headrace gate {spec.name} {gate or 'GATE'} VALUE.",
            )
        why = f"the interval's end of version {gates.version}"
        return _write(gates, spec, folder, wanted, why)


def _read(name: str, settings: Settings) -> tuple[Gates, PipelineSpec, Path]:
    folder = find_pipeline(name, settings)
    spec = load_spec(folder)
    version, metrics = _metrics(spec.name, settings)
    thresholds = {one.gate: one.threshold for one in supported(spec.gates, metrics)}
    facts = tuple(
        GateFacts(
            name=gate.name,
            threshold=gate.threshold,
            value=metrics.get(gate.metric),
            supported=thresholds.get(gate.name),
        )
        for gate in spec.gates
    )
    file = str(folder / FILE_NAME)
    gates = Gates(pipeline=spec.name, file=file, version=version, gates=facts)
    return gates, spec, folder


@contextlib.contextmanager
def _alone(name: str, settings: Settings) -> Iterator[tuple[Gates, PipelineSpec, Path]]:
    """As `_read`, while no other process changes a gate of the pipeline.

    Raises:
        UsageError: the pipeline comes with Headrace.
    """
    folder = find_pipeline(name, settings)
    own = (settings.project / "pipelines").resolve()
    places = {place.resolve() for place in pipeline_places(settings)} - {own}
    file = (folder / FILE_NAME).resolve()  # perhaps a link
    if places & {folder.resolve().parent, file.parents[1]}:
        raise UsageError(
            f"{folder.name} comes with Headrace, and its file is not changed.",
            "Copy it into a project of yours: "
            f"headrace init DIR --example {folder.name}",
        )
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield _read(name, settings)
    finally:
        os.close(descriptor)


def _metrics(model: str, settings: Settings) -> tuple[int | None, Mapping[str, float]]:
    """The metrics of the champion, else of the newest version."""
    ledger = Home(settings).ledger
    champion = ledger.champion(model)
    try:
        version = champion.version if champion else ledger.newest_version(model)
    except NotFoundError:
        return None, {}
    evidence = ledger.standing_evidence(model, version.version)
    metrics = evidence.metrics if evidence else {}
    return version.version, {k: v for k, v in metrics.items() if v is not None}


def _write(
    gates: Gates,
    spec: PipelineSpec,
    folder: Path,
    wanted: Mapping[str, float],
    why: str,
) -> Gates:
    raw, path = read_tables(folder), (folder / FILE_NAME).resolve()
    text = path.read_bytes().decode()
    expected = copy.deepcopy(raw)
    own = expected.setdefault("gates", _defaults(spec, wanted))
    rows = {str(row["name"]): (place, row) for place, row in enumerate(own)}
    before = {gate.name: gate.threshold for gate in gates.gates}
    if "gates" not in raw:
        text = add_gates(text, [(row["name"], row.get("threshold")) for row in own])
    for name, threshold in wanted.items():
        if name not in rows:
            own.append({"name": name, "threshold": threshold})
            text = add_gates(text, [(name, threshold)])
        elif "gates" in raw:
            place, row = rows[name]
            row["threshold"] = threshold
            was = before.get(name)
            comment = why if was is None else f"was {was:g}; {why}"
            text = set_threshold(text, place, threshold, comment)
    _verify(text, expected, path, wanted)
    _save(text, spec.name, path)
    changed = tuple(
        ChangedGate(name=name, before=before.get(name), after=threshold)
        for name, threshold in wanted.items()
    )
    return gates.model_copy(update={"changed": changed})


def _defaults(spec: PipelineSpec, wanted: Mapping[str, float]) -> list[dict[str, Any]]:
    """The gates of a file that names none, as rows: a row of its own ends them all."""
    standard = known_gates(spec.task)
    rows: list[dict[str, Any]] = []
    for gate in spec.gates:
        threshold = wanted.get(gate.name, gate.threshold)
        is_known = standard.get(gate.name, {}).get("threshold") == threshold
        own = {} if is_known else {"threshold": threshold}
        rows.append({"name": gate.name, **own})
    return rows


def _verify(
    text: str, expected: dict[str, Any], path: Path, wanted: Mapping[str, float]
) -> None:
    """Refuse a text that does not say the change, or says another one as well."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    try:
        is_meant = tomllib.loads(plain) == expected
    except tomllib.TOMLDecodeError:
        is_meant = False
    if not is_meant:
        rows = ", ".join(f"{name}: {value:g}" for name, value in wanted.items())
        raise SpecError(
            f"The gates in {path} are not written as [[gates]] tables of a line each, "
            "which headrace gate can change.",
            f"Write these thresholds by hand: {rows}.",
        )


def _save(text: str, name: str, path: Path) -> None:
    """Check the file as a pipeline's, then put it in place."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        made = Path(place) / name
        made.mkdir()
        (made / FILE_NAME).write_bytes(text.encode())
        check_gates(load_spec(made, name=name))
    with disk_errors(str(path.parent)), atomic_file(path) as temporary:
        temporary.write_bytes(text.encode())
        shutil.copymode(path, temporary)
