"""Checks of a version's files and answers."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from headrace.errors import IntegrityError
from headrace.records import SERVING_TOLERANCE, LoggedModel, Record
from headrace.settings import Settings
from headrace.state.disk import disk_errors
from headrace.state.ledger import Ledger, Version
from headrace.state.ledger.collections import collected_error
from headrace.state.tracking import GOLDEN_FILE, MODEL_FILE, Tracking
from headrace.state.tracking.artifacts import digest_at, model_places, run_places

_LIBRARIES = ("keras", "tensorflow", "numpy")  # other versions may answer differently


Part = Literal["model", "golden", "answers"]


class Flaw(Record):
    """What is wrong with a version.

    Attributes:
        part: the model's file, the golden file, or the model's answers.
        message: a sentence that describes it.
    """

    part: Part
    message: str


def find_flaws(version: Version, settings: Settings) -> list[Flaw]:
    """The flaws of a version's files, which are gone or changed; nothing is loaded.

    Raises:
        DependencyError: MLflow, a disk or a remote place does not answer.
    """
    artifacts, flaws = settings.artifacts, []
    model, golden = version.model_digest, version.golden_digest
    files: list[tuple[Part, list[str], str, int]] = [
        ("model", model_places(version, artifacts), model, version.model_bytes),
        ("golden", run_places(version, artifacts), golden, 0),
    ]
    for part, places, digest, size in files:
        path = MODEL_FILE if part == "model" else GOLDEN_FILE
        if digest in (digest_at(f"{place}/{path}", size) for place in places):
            continue
        tracking = Tracking(settings)
        try:
            if part == "golden":
                tracking.version_golden(version, path)
            else:
                with tracking.version_file(version):
                    pass
        except IntegrityError as error:
            flaws.append(Flaw(part=part, message=error.message))
    return flaws


def find_flaw(version: Version, settings: Settings) -> Flaw | None:
    """The first flaw of a version's files or answers; None if it is sound.

    Answers are checked once for the same files and the same libraries.

    Raises:
        DependencyError: as above, or the clean process crashed.
    """
    if flaws := find_flaws(version, settings):
        return flaws[0]
    if _verified(version, settings).exists():
        return None
    return find_wrong_answers([version], settings)[0]


def require_sound(version: Version, settings: Settings) -> None:
    """Check a version's files, and its answers in a clean process.

    Raises:
        IntegrityError: it is not sound; names the command that repairs it.
        DependencyError: as above.
    """
    flaws = find_flaws(version, settings)
    if flaws and Ledger(settings.database_url).is_collected(version):
        raise collected_error(version, IntegrityError)
    flaw = flaws[0] if flaws else find_wrong_answers([version], settings)[0]
    if flaw is not None:
        raise IntegrityError(
            f"{version} is not what was registered: {flaw.message}",
            f"Run `headrace repair {version.model}/{version.version}`.",
        )


def find_wrong_answers(
    versions: Sequence[Version], settings: Settings
) -> list[Flaw | None]:
    """The flaws of the answers of versions whose files are sound, in their order.

    One clean process checks all of them.

    Raises:
        DependencyError: the process crashed, or MLflow does not answer.
    """
    from headrace.models.logged.serving_check import Request, ServingCheck

    tracking = Tracking(settings)
    with contextlib.ExitStack() as stack:
        requests = [
            Request.of(
                logged_model(version),
                stack.enter_context(tracking.version_file(version)),
                tracking.version_golden(version, GOLDEN_FILE),
            )
            for version in versions
        ]
        checks = [stack.enter_context(ServingCheck(requests))] if requests else []
        reports = [report for check in checks for report in check.results()]
    flaws: list[Flaw | None] = []
    for version, report in zip(versions, reports, strict=True):
        message = report.error
        if not message and (report.difference or 0) > SERVING_TOLERANCE:
            message = (
                "a clean process answers with probabilities that differ by "
                f"{report.difference:.3g} from its golden answers (at most "
                f"{SERVING_TOLERANCE:g} is allowed)."
            )
        flaws.append(Flaw(part="answers", message=message) if message else None)
        if not message:
            mark_verified(version, settings)
    return flaws


def mark_verified(model: Version | LoggedModel, settings: Settings) -> None:
    """Record in the home that a model gives its golden answers with these libraries.

    Call it after a check in a clean process. A home that cannot be written is skipped.
    """
    mark = _verified(model, settings)
    with disk_errors(str(mark.parent)):
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise


def logged_model(version: Version) -> LoggedModel:
    """The files of a version and their digests, from its row in the ledger.

    Raises:
        IntegrityError: the row does not describe the training data.
    """
    try:
        description = version.description
    except (KeyError, ValidationError):
        raise IntegrityError(
            f"The ledger's row of {version.model}/{version.version} was changed: its "
            "details do not describe the data.",
            "Run `headrace verify`, and restore the ledger from a backup.",
        ) from None
    files = {name: getattr(version, name) for name in LoggedModel.FILES}
    return LoggedModel(description=description, **files)


def _verified(model: Version | LoggedModel, settings: Settings) -> Path:
    libraries = [f"{name} {metadata.version(name)}" for name in _LIBRARIES]
    text = "\n".join([model.model_digest, model.golden_digest, *libraries])
    return settings.home / "verified" / hashlib.sha256(text.encode()).hexdigest()
