"""Checks the explanations of a registered version.

All that this needs is in the record of the version's run. What is found is added to the
ledger.
"""

from __future__ import annotations

import logging
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import IntegrityError, Refusal, UsageError
from headrace.explanations.checked import MapCheck, find_check, record_check
from headrace.settings import Settings
from headrace.settings.home import check_present
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.ledger.holding import checking_maps, hold, wait_for_collection

if TYPE_CHECKING:
    from headrace.records import Metrics

log = logging.getLogger("headrace")


def check_maps(name: str, settings: Settings) -> tuple[Version, bool]:
    """Check the explanations of a version, unless that was done.

    If another process is checking them, this waits for it.

    Args:
        name: a model, which means its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        settings: where things are.

    Returns:
        the version, and whether it was checked now.

    Raises:
        NotFoundError: there is no such version.
        Refusal: its answers cannot be explained or checked, which is recorded.
        UsageError: the record of its run is gone.
        IntegrityError: its files, its data or that record are gone or changed.
        DependencyError: MLflow, the store, a disk or the ledger failed.
    """
    version = Home.existing(settings, f"model {name!r}").ledger.find(name)
    model, number = version.model, version.version
    lease = checking_maps(model, number), f"explain-{uuid.uuid4().hex}"
    with hold(settings, *lease) as held:
        wait_for_collection(settings)
        home = Home(settings, held.lease)
        before = find_check(home.ledger, model, number)
        is_new = before is None or bool(before.reason)
        if is_new:
            _check(version, home)
    return version, is_new


def _check(version: Version, home: Home) -> None:
    """Measure, and record it last: what was killed before begins again."""
    from headrace.evidence.report_files import show_maps
    from headrace.explanations.verdict import impossible, verdicts_of

    try:
        metrics = _measured(version, home)
    except IntegrityError:
        raise
    except (Refusal, UsageError) as error:
        reason = error.message.rstrip(".")
        show_maps(version, impossible(version.model, version.version, reason), home)
        _record(version, home, reason=reason)
        raise
    check_present(home.settings.home)  # it took seconds
    show_maps(version, verdicts_of(metrics), home)
    _record(version, home, metrics=metrics)


def _record(version: Version, home: Home, **found: Any) -> None:
    names = {"model", "version", "snapshot_digest", "model_digest"}
    own = version.model_dump(include=names)
    check = MapCheck(**own, **found, who=home.settings.user)
    record_check(home.ledger, check)


def _measured(version: Version, home: Home) -> Metrics:
    from headrace.evidence.reproduction import restored
    from headrace.imports.backend import load_backend
    from headrace.records import TrainingRecord
    from headrace.stages import evaluation

    home.ledger.facts.require_files(version, IntegrityError)
    load_backend()
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        _, own = restored(version.run_id, home, Path(place))
        training = TrainingRecord.model_validate(version.details.get("training"))
        log.info("%s: checking its explanations", version)
        records = own.spec, own.snapshot, own.contract, training
        return evaluation.check_maps(*records, home, own.folder)
