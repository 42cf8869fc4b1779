"""The versions' models, their golden answers, and what MLflow says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from headrace.errors import IntegrityError, NotFoundError
from headrace.progress import counted
from headrace.settings import Settings
from headrace.stages.promotion import aliases_of
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import WEIGHTS_TAG, version_tags
from headrace.use.verification.report import Problem, Report

if TYPE_CHECKING:
    from headrace.state.tracking import Listed, Tracking


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
        report: gains what was found.
    """
    if not models:
        return
    from headrace.state.tracking import Tracking

    tracking = Tracking(settings)
    for model in models:
        champion = ledger.champion(model)
        number = champion.version.version if champion else None
        versions = ledger.versions(model)
        for version in counted(versions, f"verify {model}", "versions"):
            problem = _check_version(tracking, version, golden, report)
            if problem is None:
                report.checked["models"] += 1
            elif _is_missing(problem) and version.version != number:
                report.missing["models"] += 1
            else:
                report.problem = Problem(
                    where="model",
                    what=f"{model}/{version.version}: {problem.message}",
                    action=problem.action,
                )
                return
        report.problem = _check_registry(tracking, ledger, model, report)
        if report.problem is not None:
            return


def _check_version(
    tracking: Tracking, version: Version, golden: Mapping[str, str], report: Report
) -> IntegrityError | None:
    from headrace.state.tracking import GOLDEN_FILE

    try:
        with tracking.version_file(version):
            pass
        recorded = version.golden_digest or golden.get(version.run_id)
        if recorded is not None:
            data = tracking.version_golden(version, GOLDEN_FILE)
            if hashlib.sha256(data).hexdigest() != recorded:
                return IntegrityError(
                    f"{GOLDEN_FILE} of the run {version.run_id} was changed.",
                    "Restore it from a backup, or train again.",
                )
            report.checked["golden answers"] += 1
    except IntegrityError as error:
        return error
    return None


def _is_missing(error: IntegrityError) -> bool:
    return isinstance(error.__cause__, NotFoundError | OSError)


def _check_registry(
    tracking: Tracking, ledger: Ledger, model: str, report: Report
) -> Problem | None:
    """What MLflow's registry says otherwise than the ledger, if anything."""
    aliases, listed = tracking.registered(model)
    wanted_aliases = aliases_of(model, ledger)
    versions = {version.version: version for version in ledger.versions(model)}
    champion = wanted_aliases["champion"]
    if champion is not None and champion not in listed:
        return Problem(
            where="mlflow",
            what=f"MLflow's registry has no version {champion} of {model}, which is "
            "the champion.",
            action="It goes on working, as the ledger and its files are whole. Restore "
            "MLflow's database from a backup, and see who may write there.",
        )
    lost = versions.keys() - listed
    if lost:
        report.missing["versions of MLflow's registry"] += len(lost)
    for alias, wanted in wanted_aliases.items():
        present = aliases.get(alias)
        if present != wanted and (wanted is None or wanted in listed):
            return Problem(
                where="mlflow",
                what=f"MLflow's alias {alias} of {model} is on "
                f"{_named(present)}, and the ledger has {_named(wanted)}.",
                action=f"Run `headrace repair {model}`, which puts it right.",
            )
    for number, one in sorted(listed.items()):
        version = versions.get(number)
        problem = (
            _check_unknown(ledger, model, number, one)
            if version is None
            else _check_listed(ledger, version, one)
        )
        if problem is not None:
            return problem
    return None


def _check_unknown(
    ledger: Ledger, model: str, number: int, one: Listed
) -> Problem | None:
    """What it means that the ledger does not have a version of ours."""
    if WEIGHTS_TAG not in one.tags or ledger.is_unsettled(model):
        return None  # not ours, or of a run that was killed and goes on
    return Problem(
        where="ledger",
        what=f"MLflow has version {number} of {model}, and the ledger has not: an "
        "older ledger, or an empty one, may have been put in its place.",
        action="Put the newer ledger back, or delete that version in MLflow.",
    )


def _check_listed(ledger: Ledger, version: Version, one: Listed) -> Problem | None:
    """What the registry says otherwise of a version, if anything."""
    name = f"{version.model}/{version.version}"
    if one.run_id and one.run_id not in _runs_of(ledger, version):
        return Problem(
            where="mlflow",
            what=f"MLflow's version {name} is of the run {one.run_id}, and the ledger "
            f"has {version.run_id}.",
            action="Restore MLflow's database from a backup, and see who may write "
            "there.",
        )
    for tag, value in version_tags(version).items():
        present = one.tags.get(tag, "")
        if present != value:
            return Problem(
                where="mlflow",
                what=f"MLflow's tag {tag} of {name} is {present[:16] or 'gone'}, and "
                f"the ledger has {value[:16]}.",
                action=f"Run `headrace repair {name}`, which puts it right; and see "
                "who may write there.",
            )
    return None


def _runs_of(ledger: Ledger, version: Version) -> set[str]:
    """The runs that a version is, or was, of."""
    first = version.details.get("training", {}).get("run_id")
    bound = {
        binding.run_id
        for binding in ledger.bindings(version.model)
        if binding.version == version.version
    }
    return {version.run_id, *bound, *([first] if first else [])}


def find_forgotten(tracking: Tracking, ledger: Ledger) -> Problem | None:
    """A model of ours that MLflow has, and of which the ledger has nothing."""
    known = set(ledger.models())
    for model in tracking.registered_models():
        if model not in known and not ledger.is_unsettled(model):
            return Problem(
                where="ledger",
                what=f"MLflow has the model {model}, and the ledger has no version of "
                "it: an older ledger, or an empty one, may have been put in its place.",
                action="Put the newer ledger back, or delete that model in MLflow.",
            )
    return None


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
