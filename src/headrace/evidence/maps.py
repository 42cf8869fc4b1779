"""Checks the explanations of a registered version, by a command or after its run.

All that this needs is in the record of the version's run. What is found is added to the
ledger. The process that a run leaves behind is this module.
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError, IntegrityError, Refusal, UsageError
from headrace.extensions import task_default
from headrace.home import check_present
from headrace.settings import Settings
from headrace.stages.size import SMALL, size_of
from headrace.state import background
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.ledger.disposals import collected_error
from headrace.state.ledger.holding import checking_maps, hold, wait_for_collection
from headrace.state.ledger.leases import Leases
from headrace.state.ledger.rows import MapCheck

if TYPE_CHECKING:
    from headrace.evidence.reporting import RunSoFar
    from headrace.records import Metrics

MODULE = "headrace.evidence.maps"
log = logging.getLogger("headrace")


def check_maps(
    name: str, settings: Settings, *, waits: bool = True
) -> tuple[Version, bool]:
    """Check the explanations of a version, unless that was done.

    Args:
        name: a model, which means its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        settings: where things are.
        waits: whether to wait for a process that is checking them.

    Returns:
        the version, and whether it was checked now.

    Raises:
        NotFoundError: there is no such version.
        Refusal: its answers cannot be explained or checked, which is recorded.
        UsageError: the record of its run is gone.
        IntegrityError: its files, its data or that record are gone or changed.
        DependencyError: MLflow, the store, a disk or the ledger failed; or another
            process is checking them, and is not waited for.
    """
    version = Home.existing(settings, f"model {name!r}").ledger.find(name)
    model, number = version.model, version.version
    lease = checking_maps(model, number), f"explain-{uuid.uuid4().hex}"
    with (
        hold(settings, *lease, wait=waits) as held,
        background.one_at_a_time(settings, "maps.lock"),
    ):
        wait_for_collection(settings)
        home = Home(settings, held.lease)
        before = home.ledger.map_checks(model, number)
        is_new = not before or bool(before[-1].reason)
        if is_new:
            _check(version, home)
    return version, is_new


def _check(version: Version, home: Home) -> None:
    """Measure, and record it last: what was killed before begins again."""
    from headrace.evidence.map_section import show_maps
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
    home.ledger.add_map_check(MapCheck(**own, **found, who=home.settings.user))


def _measured(version: Version, home: Home) -> Metrics:
    from headrace.backend import load_backend
    from headrace.evidence.reproduction import restored
    from headrace.records import TrainingRecord
    from headrace.stages import evaluation
    from headrace.stages.registration import as_bound

    if home.ledger.is_collected(version):
        raise collected_error(version, IntegrityError)
    load_backend()
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        _, own = restored(version.run_id, home, Path(place))
        training = TrainingRecord.model_validate(version.details.get("training"))
        log.info("%s: checking its explanations", version)
        records = own.spec, own.snapshot, own.contract, as_bound(training, version)
        return evaluation.check_maps(*records, home, own.folder)


def check_later(
    run: RunSoFar, version: int | None, home: Home
) -> subprocess.Popen[bytes] | None:
    """Have the explanations of a run's version checked by a process that outlives this.

    That is done for a small training at the depth ``auto``, unless a check was made or
    is being made. Nothing is raised: ``headrace explain --check`` makes it as well.

    Returns:
        the process, if one was started.
    """
    spec, training, contract = run.spec, run.training, run.contract
    if version is None or training is None or contract is None:
        return None
    size = size_of(training, contract.rows["train"], spec.training.epochs)
    is_wanted = spec.evaluation.depth == "auto" and not spec.training.privacy
    if not (is_wanted and size <= SMALL and task_default(spec.task, "EXPLAINS")):
        return None
    settings = home.settings
    try:
        if home.ledger.map_checks(spec.name, version):
            return None
        leases = Leases(settings.database_url)
        current = leases.current(checking_maps(spec.name, version))
        if current is not None and current.is_alive(leases.now()):
            return None
        # On the processor: a next training may want the whole of a GPU.
        own = {"CUDA_VISIBLE_DEVICES": "-1"}
        order = f"{spec.name}/{version}"
        return background.start(MODULE, order, "maps.log", settings, **own)
    except (OSError, HeadraceError) as error:
        log.debug("%s: its explanations are not checked: %s", spec.name, error)
        return None


if __name__ == "__main__":
    background.perform(partial(check_maps, waits=False))
