"""What of a champion is not as the ledger has it."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.evidence.verification.versions import data_mismatch, other_mismatches
from headrace.models.logged.soundness.checks import file_mismatches
from headrace.stages.promotion.registry import registry_mismatches
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version


def champion_mismatches(version: Version, home: Home) -> Iterator[Mismatch]:
    """MLflow's entries of a champion, its files and its data.

    Raises:
        DependencyError: the ledger, the store or MLflow does not answer.
    """
    for mismatch in registry_mismatches(version.model, home):
        if mismatch.version == version.version or mismatch.what.startswith("alias "):
            yield mismatch
    yield from run_mismatch(version, home)
    yield from file_mismatches(version, home)
    yield from other_mismatches(version, home)
    yield from data_mismatch(version, home)


def run_mismatch(version: Version, home: Home) -> Iterator[Mismatch]:
    """Whether the run of a version was deleted in MLflow; at most one.

    Raises:
        DependencyError: MLflow does not answer.
    """
    if home.tracking.is_deleted(version.run_id):
        what = f"run {version.run_id}"
        message = f"MLflow's {what} of {version.model}/{version.version} was deleted."
        yield Mismatch.of(version, "mlflow", what, message)
