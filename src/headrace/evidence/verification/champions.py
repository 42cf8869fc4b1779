"""What of a champion is not as the ledger has it."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.evidence.verification.versions import data_mismatch, record_mismatches
from headrace.models.logged.soundness.checks import file_mismatches
from headrace.stages.promotion.registry import alias_mismatch
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version
from headrace.state.tracking.rows import TrackingRows, database_of


def champion_mismatches(version: Version, home: Home) -> Iterator[Mismatch]:
    """MLflow's entries of a champion, its files and its data.

    Raises:
        DependencyError: the ledger, the store or MLflow does not answer.
        SQLAlchemyError: MLflow's database does not answer.
    """
    yield from _of_registry(version, home)
    yield from record_mismatches(version, home)
    yield from file_mismatches(version, home)
    yield from data_mismatch(version, home)


def _of_registry(version: Version, home: Home) -> Iterator[Mismatch]:
    """Whether the alias was moved; without a database also what was deleted."""
    model, number = version.model, version.version
    url = database_of(home.settings)
    if url:
        aliases, is_listed = TrackingRows(home.settings, url).aliases(model), True
    else:
        aliases, versions = home.tracking.registered(model)
        is_listed = number in versions
        if not is_listed:
            what, message = f"version {number}", f"MLflow's version {number}"
            yield Mismatch.of(version, "mlflow", what, f"{message} was deleted.")
        if home.tracking.is_deleted(version.run_id):
            what = f"run {version.run_id}"
            message = f"MLflow's {what} of {model}/{number} was deleted."
            yield Mismatch.of(version, "mlflow", what, message)
    if not is_listed:
        return
    for mismatch in alias_mismatch(model, "champion", number, aliases):
        hint = ""
        if aliases.get("champion") == home.ledger.history(model)[-1].from_version:
            hint = (
                " A promotion or rollback that was killed leaves it so, too: "
                f"`headrace verify {model} --repair` sets it."
            )
        yield mismatch.model_copy(update={"message": f"{mismatch.message}{hint}"})
