"""How a run ended, for Python: its summary, its report and its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from headrace.display.signs import visible
from headrace.errors import UsageError
from headrace.settings import Settings
from headrace_flows.summary import Summary

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel


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
