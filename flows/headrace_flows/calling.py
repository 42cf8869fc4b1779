"""Runs the train flow for a caller: a command, a script or a notebook."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from headrace.display.signs import visible
from headrace.errors import Refusal, UsageError
from headrace.pipeline.folders import open_pipeline
from headrace.pipeline.toml import as_toml
from headrace.settings import Settings
from headrace_flows.run import Run, run_of_file
from headrace_flows.summary import INTERRUPTED, Summary, conclude, failed, finished

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel
    from headrace_ops.run_server import RunServer

log = logging.getLogger("headrace")
_ONE_AT_A_TIME = threading.Lock()  # Prefect's variables are the process's
_OF_HANDLER = "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"


class Outcome(Summary):
    """How a run ended: the answer of ``headrace run --json``, as an object.

    Attributes:
        status: ``promoted``, ``registered``, ``unchanged`` or ``refused``.
        reason: why, in a sentence.
        model: the name of the model, which is the pipeline's.
        version: of the model; None if nothing was registered.
        metrics: of the test rows, by name.
        gates: what the model had to satisfy, and whether it did.
        links: the pages of the run, by name.
    """

    _settings: Settings = PrivateAttr()

    def __init__(self, summary: Summary, settings: Settings) -> None:
        fields = {name: getattr(summary, name) for name in Summary.model_fields}
        super().__init__(**fields)
        self._settings = settings

    @property
    def report(self) -> str | None:
        """The path or URI of the run's report, an HTML page; None if it has none."""
        from headrace.evidence.report_files import report_of
        from headrace.state.home import Home

        if self.run_id is None:
            return None
        return report_of(self.run_id, Home(self._settings).tracking)

    def load(self) -> LoadedModel:
        """Load the version that the run has registered.

        Raises:
            UsageError: it has registered none.
            IntegrityError: its file is gone or changed.
        """
        from headrace.models.logged.loading import load

        if self.version is None:
            raise UsageError(
                f"This run of {self.pipeline} has registered no model: {self.reason}",
                "Load another version: headrace.load_champion(NAME).",
            )
        return load(f"{self.model}/{self.version}", self._settings)

    def __repr__(self) -> str:
        """The outcome in a few lines, as a notebook shows it."""
        from headrace.tasks import task

        version = f" version {self.version}" if self.version else ""
        lines = [f"{self.pipeline}{version}: {self.status} in {self.seconds:.1f} s"]
        lines.append(self.reason)
        if self.experiment:
            lines.append(f"experiment: it overrides {', '.join(self.overrides)}")
        if self.metrics:
            lines.append(task(self.task).answers.figures(self.metrics))
        lines += [
            f"gate {gate.name} failed: {gate.figures}"
            for gate in self.gates
            if not gate.passed
        ]
        lines += [f"warning {one.check}: {one.message}" for one in self.warnings]
        return visible("\n  ".join(lines))

    __str__ = __repr__


def run(
    pipeline: str | os.PathLike[str],
    *,
    set: Mapping[str, Any] | None = None,
    data: str | os.PathLike[str] | None = None,
    register_only: bool = False,
    progress: bool = True,
    settings: Settings | None = None,
) -> Outcome:
    """Run the train flow here and now, as ``headrace run`` does.

    It works in a script and in a notebook. A process does one run at a time. A run that
    was interrupted goes on when it is called again.

    Args:
        pipeline: its name, or the path of its folder.
        set: overrides of the pipeline file: Python values by the names of their
            fields, such as ``{"training.epochs": 3}``.
        data: another data source: a path, a URI, or data by name.
        register_only: whether the champion stays as it is.
        progress: whether lines on standard error show how far the run is.
        settings: None: those of the environment.

    Returns:
        How the run ended. That of a refused run has the status ``refused``.

    Raises:
        UsageError: the pipeline, an override or a setting is invalid, or the process is
            at another run.
        DependencyError: a disk, a database or a server failed; a retry is safe.
        KeyboardInterrupt: it was interrupted.
    """
    settings = settings or Settings()
    overrides = [_override(key, value) for key, value in (set or {}).items()]
    source = None if data is None else os.fspath(data)
    name = (
        str(pipeline) if isinstance(pipeline, str) else str(Path(pipeline).absolute())
    )
    spec, folder = open_pipeline(name, settings, overrides, source)
    settings.prepare_home()
    with _as_guest(shows_progress=progress):
        log.info("%s: looking for what has changed since the last run", spec.name)
        begun = run_of_file(spec, folder, settings, register_only=register_only)
        summary, exit_code = ended(begun)
    if exit_code == INTERRUPTED:
        raise KeyboardInterrupt(summary.reason)
    if begun.error is not None and not isinstance(begun.error, Refusal):
        raise begun.error.with_traceback(None) from None
    return Outcome(summary, settings)


def ended(run: Run) -> tuple[Summary, int]:
    """The summary of a run, which is done now if anything is to be done.

    Returns:
        The summary, and the command's exit code.
    """
    if done := finished(run):
        return done
    run.turn.look_back()

    def flow(server: RunServer) -> Any:
        server.wait()
        from headrace_flows.train import run_here

        return run_here(run, server.ui_url)

    return with_server(run, run.plan.settings, flow)


def with_server(
    run: Run,
    settings: Settings,
    flow: Callable[[RunServer], Any],
    concluded: Callable[[], Run | None] = lambda: None,
) -> tuple[Summary, int]:
    """Run a flow beside a Prefect server; returns the summary and the exit code.

    Args:
        run: of the pipeline.
        settings: where things are.
        flow: gives Prefect's final state.
        concluded: the run that the summary is of, if it is another one.
    """
    from headrace_flows.preload import check_early, preloaded
    from headrace_ops.run_server import server_for_run

    try:
        check_early(run)
        with server_for_run(settings) as server:
            with preloaded(run):
                state = flow(server)
    except Refusal as error:
        return failed(run, error)
    return conclude(concluded() or run, state)


@contextlib.contextmanager
def _as_guest(*, shows_progress: bool) -> Iterator[None]:
    """Leave a process that is not ours as it was: its variables, log and collector."""
    from headrace.state.temporary import own_temporary_folder

    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise UsageError(
            "This process is at another run already.",
            "Wait for it, or start `headrace run`, which is a process of its own.",
        )
    with contextlib.ExitStack() as stack:
        stack.callback(_ONE_AT_A_TIME.release)
        stack.callback(gc.unfreeze)
        stack.callback(_put_back, dict(os.environ))
        stack.enter_context(own_temporary_folder())
        if shows_progress:
            handler = logging.StreamHandler()
            handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%T"))
            stack.callback(log.setLevel, log.level)
            log.setLevel(log.level or logging.INFO)
            log.addHandler(handler)
            stack.callback(log.removeHandler, handler)
        yield


def _put_back(before: Mapping[str, str]) -> None:
    """Restore Prefect's variables, but that of its handler on our log, which stays."""
    names = {*dict(os.environ), *before} - {_OF_HANDLER}
    for name in names:
        if name.startswith(("PREFECT_", "DO_NOT_TRACK")):
            os.environ.pop(name, None)
            os.environ.update({name: before[name]} if name in before else {})
    if "prefect" in sys.modules:  # which has read others
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def _override(key: str, value: Any) -> str:
    """A field and its Python value, as given with ``--set``."""
    if not isinstance(key, str) or "=" in key:
        raise UsageError(
            f"{key!r} in set is not the name of a field.",
            "Write for example set={'training.epochs': 3}.",
        )
    try:
        return f"{key}={as_toml(value)}"
    except TypeError as error:
        raise UsageError(
            f"{key} in set is {error}, which a pipeline file cannot have.",
            "Give a text, a number, True or False, or a list or dict of these.",
        ) from None
