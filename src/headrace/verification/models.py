"""The versions' models, their golden answers, and what MLflow says of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from headrace.errors import IntegrityError, NotFoundError
from headrace.ledger import Ledger, Version
from headrace.promotion import aliases_of
from headrace.settings import Settings
from headrace.verification.report import Problem, Report

if TYPE_CHECKING:
    from headrace.tracking import Tracking

log = logging.getLogger("headrace")


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
    from headrace.tracking import Tracking

    tracking = Tracking(settings)
    for model in models:
        champion = ledger.champion(model)
        number = champion.version.version if champion else None
        for version in ledger.versions(model):
            log.info("verify: %s/%d", model, version.version)
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
        report.problem = _check_registry(tracking, ledger, model)
        if report.problem is not None:
            return


def _check_version(
    tracking: Tracking, version: Version, golden: Mapping[str, str], report: Report
) -> IntegrityError | None:
    from headrace.tracking import GOLDEN_FILE

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


def _check_registry(tracking: Tracking, ledger: Ledger, model: str) -> Problem | None:
    """What MLflow's registry says otherwise than the ledger, if anything."""
    aliases, tags = tracking.registered(model)
    for alias, wanted in aliases_of(model, ledger).items():
        present = aliases.get(alias)
        if present != wanted:
            return Problem(
                where="mlflow",
                what=f"MLflow's alias {alias} of {model} is on "
                f"{_named(present)}, and the ledger has {_named(wanted)}.",
                action=f"Run `headrace run {model}`, which puts it right.",
            )
    for version in ledger.versions(model):
        recorded = {
            "headrace.weights_digest": version.weights_digest,
            "headrace.model_digest": version.model_digest,
            "headrace.snapshot": version.snapshot_digest,
        }
        for tag, value in recorded.items():
            present_tag = tags.get(version.version, {}).get(tag, value)
            if present_tag != value:
                return Problem(
                    where="mlflow",
                    what=f"MLflow's tag {tag} of {model}/{version.version} is "
                    f"{present_tag[:16]}, and the ledger has {value[:16]}.",
                    action="Set it back in MLflow, and see who may write there.",
                )
    return None


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
