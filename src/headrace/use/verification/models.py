"""The versions' models, golden answers, and tags and aliases in MLflow."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from headrace.errors import IntegrityError, NotFoundError
from headrace.progress import counted
from headrace.settings import Settings
from headrace.stages.promotion import aliases_of
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import GOLDEN_FILE, WEIGHTS_TAG, Tracking, version_tags
from headrace.use.verification.report import Broken, Report

if TYPE_CHECKING:
    from headrace.state.tracking import RegistryVersion


def check_models(
    settings: Settings,
    ledger: Ledger,
    models: Collection[str],
    golden: Mapping[str, str],
    report: Report,
) -> None:
    """Compare every version's files and MLflow's tags and aliases with the ledger.

    Args:
        settings: where MLflow is.
        ledger: what it is compared with.
        models: their names.
        golden: sha256 of the golden answers, by MLflow run, where it is known.
        report: its counts are updated.

    Raises:
        Broken: at the first mismatch.
    """
    if not models:
        return
    tracking = Tracking(settings)
    for model in models:
        champion = ledger.champion(model)
        number = champion.version.version if champion else None
        versions = ledger.versions(model)
        for version in counted(versions, f"verify {model}", "versions"):
            try:
                _check_version(tracking, version, golden, report)
                report.checked["models"] += 1
            except IntegrityError as error:
                if not _is_missing(error) or version.version == number:
                    what = f"{model}/{version.version}: {error.message}"
                    raise Broken("model", what, error.action) from error
                report.missing["models"] += 1
        _check_registry(tracking, ledger, model, report)


def _check_version(
    tracking: Tracking, version: Version, golden: Mapping[str, str], report: Report
) -> None:
    """Raise IntegrityError if a version's files are not those of the ledger."""
    with tracking.version_file(version):
        pass
    recorded = version.golden_digest or golden.get(version.run_id)
    if recorded is None:
        return
    data = tracking.version_golden(version, GOLDEN_FILE)
    if hashlib.sha256(data).hexdigest() != recorded:
        raise IntegrityError(
            f"{GOLDEN_FILE} of the run {version.run_id} was changed.",
            "Restore it from a backup, or train again.",
        )
    report.checked["golden answers"] += 1


def _is_missing(error: IntegrityError) -> bool:
    return isinstance(error.__cause__, NotFoundError | OSError)


def _check_registry(
    tracking: Tracking, ledger: Ledger, model: str, report: Report
) -> None:
    """Compare MLflow's registry of a model with the ledger."""
    aliases, listed = tracking.registered(model)
    wanted_aliases = aliases_of(model, ledger)
    versions = {version.version: version for version in ledger.versions(model)}
    champion = wanted_aliases["champion"]
    if champion is not None and champion not in listed:
        raise Broken(
            "mlflow",
            f"MLflow's registry has no version {champion} of {model}, which is "
            "the champion.",
            "It goes on working, as the ledger and its files are whole. Restore "
            "MLflow's database from a backup, and see who may write there.",
        )
    lost = versions.keys() - listed
    if lost:
        report.missing["versions of MLflow's registry"] += len(lost)
    for alias, wanted in wanted_aliases.items():
        present = aliases.get(alias)
        if present != wanted and (wanted is None or wanted in listed):
            raise Broken(
                "mlflow",
                f"MLflow's alias {alias} of {model} is on "
                f"{_named(present)}, and the ledger has {_named(wanted)}.",
                f"Run `headrace repair {model}`, which puts it right.",
            )
    for number, entry in sorted(listed.items()):
        if number in versions:
            _check_listed(ledger, versions[number], entry)
        # Otherwise another tool registered it, or a killed run that will continue.
        elif WEIGHTS_TAG in entry.tags and not ledger.is_unsettled(model):
            raise _unknown_to_ledger(f"version {number} of {model}", "version")


def _unknown_to_ledger(what: str, kind: str) -> Broken:
    return Broken(
        "ledger",
        f"MLflow has {what}, and the ledger has not: an older ledger, or an empty one, "
        "may have been put in its place.",
        f"Put the newer ledger back, or delete that {kind} in MLflow.",
    )


def _check_listed(ledger: Ledger, version: Version, entry: RegistryVersion) -> None:
    """Compare the registry's entry of a version with the ledger."""
    name = f"{version.model}/{version.version}"
    if entry.run_id and entry.run_id not in _runs_of(ledger, version):
        raise Broken(
            "mlflow",
            f"MLflow's version {name} is of the run {entry.run_id}, and the ledger "
            f"has {version.run_id}.",
            "Restore MLflow's database from a backup, and see who may write there.",
        )
    for tag, value in version_tags(version).items():
        present = entry.tags.get(tag, "")
        if present != value:
            raise Broken(
                "mlflow",
                f"MLflow's tag {tag} of {name} is {present[:16] or 'gone'}, and "
                f"the ledger has {value[:16]}.",
                f"Run `headrace repair {name}`, which puts it right; and see "
                "who may write there.",
            )


def _runs_of(ledger: Ledger, version: Version) -> set[str]:
    """The runs that a version is, or was, bound to."""
    first = version.details.get("training", {}).get("run_id")
    bound = {
        binding.run_id
        for binding in ledger.bindings(version.model)
        if binding.version == version.version
    }
    return {version.run_id, *bound, *([first] if first else [])}


def check_forgotten(settings: Settings, ledger: Ledger) -> None:
    """Raise Broken for a model that Headrace registered and the ledger lacks."""
    known = set(ledger.models())
    for model in Tracking(settings).registered_models():
        if model not in known and not ledger.is_unsettled(model):
            raise _unknown_to_ledger(f"the model {model}", "model")


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
