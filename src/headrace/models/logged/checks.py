"""Checks of a version's files and answers."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

from headrace.errors import IntegrityError, NotFoundError
from headrace.records import SERVING_TOLERANCE, LoggedModel
from headrace.state.disk import disk_errors
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Mismatch, Version
from headrace.state.tracking import GOLDEN_FILE, MODEL_FILE
from headrace.state.tracking.artifacts import digest_at, model_place, run_place

_LIBRARIES = ("keras", "tensorflow", "numpy")  # other versions may answer differently
MODEL = "file model"  # the mismatch of a version's model file
GOLDEN = "file golden"
ANSWERS = "answers"


def at_stake(model: str, ledger: Ledger) -> list[Version]:
    """The versions that a run of a model goes on from: its champion, and the newest."""
    with ledger.database.reading_once():
        champion, versions = ledger.champion(model), ledger.versions(model)[-1:]
    if champion is not None and champion.version not in versions:
        versions.insert(0, champion.version)
    return versions


def file_mismatches(version: Version, home: Home) -> Iterator[Mismatch]:
    """Whether the model's file or the golden file is gone or changed; loads nothing.

    Raises:
        DependencyError: MLflow, a disk or a remote place does not answer.
    """
    artifacts, model = home.settings.artifacts, version.model_digest
    of_model, of_run = model_place(version, artifacts), run_place(version, artifacts)
    for what, place, path, digest in (
        (MODEL, of_model, MODEL_FILE, model),
        (GOLDEN, of_run, GOLDEN_FILE, version.golden_digest),
    ):
        if digest == digest_at(f"{place}/{path}"):
            continue
        try:
            if what == GOLDEN:
                home.tracking.version_golden(version)
            else:
                with home.tracking.version_file(version):
                    pass
        except IntegrityError as error:
            is_gone = isinstance(error.__cause__, NotFoundError | OSError)
            mismatch = Mismatch.of(version, "model", what, error.message)
            yield mismatch.model_copy(update={"is_gone": is_gone})


def find_mismatches(
    versions: Sequence[Version], home: Home, *, anew: bool = False
) -> list[Mismatch]:
    """What is wrong with versions: with their files, or else with their answers.

    Args:
        anew: check the answers also if they were checked before, for the same files
            and with the same libraries.

    Raises:
        DependencyError: as above, or the clean process crashed.
    """
    mismatches = [one for v in versions for one in file_mismatches(v, home)]
    broken = {(one.model, one.version) for one in mismatches}
    whole = [
        version
        for version in versions
        if (version.model, version.version) not in broken
        and (anew or not _verified(version, home.settings.home).exists())
    ]
    return mismatches + answer_mismatches(whole, home)


def require_sound(version: Version, home: Home) -> None:
    """Check a version's files, and its answers in a clean process.

    Raises:
        IntegrityError: it is not sound; names the command that repairs it.
        DependencyError: as above.
    """
    mismatches = find_mismatches([version], home, anew=True)
    if not mismatches:
        return
    home.ledger.facts.require_files(version, IntegrityError)
    raise IntegrityError(
        f"{version} is not what was registered: {mismatches[0].message}",
        f"Run `headrace verify {version.model}/{version.version} --repair`.",
    )


def answer_mismatches(versions: Sequence[Version], home: Home) -> list[Mismatch]:
    """Which versions, whose files are sound, do not give their golden answers.

    One clean process checks all of them.

    Raises:
        DependencyError: the process crashed, or MLflow does not answer.
    """
    if not versions:
        return []
    from headrace.models.logged.serving_check import CheckRequest, ServingCheck

    with contextlib.ExitStack() as stack:
        requests = [
            CheckRequest.of(
                logged_model(version),
                stack.enter_context(home.tracking.version_file(version)),
                home.tracking.version_golden(version),
            )
            for version in versions
        ]
        reports = list(stack.enter_context(ServingCheck(requests)).results())
    mismatches = []
    for version, report in zip(versions, reports, strict=True):
        message = report.error
        if not message and (report.difference or 0) > SERVING_TOLERANCE:
            message = (
                "a clean process answers with probabilities that differ by "
                f"{report.difference:.3g} from its golden answers (at most "
                f"{SERVING_TOLERANCE:g} is allowed)."
            )
        if message:
            mismatches.append(Mismatch.of(version, "model", ANSWERS, message))
        else:
            mark_verified(version, home.settings.home)
    return mismatches


def mark_verified(model: Version | LoggedModel, home: Path) -> None:
    """Record in the home that a model gives its golden answers with these libraries.

    Call it after a check in a clean process. A home that cannot be written is skipped.
    """
    mark = _verified(model, home)
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


def _verified(model: Version | LoggedModel, home: Path) -> Path:
    libraries = [f"{name} {metadata.version(name)}" for name in _LIBRARIES]
    text = "\n".join([model.model_digest, model.golden_digest, *libraries])
    return home / "verified" / hashlib.sha256(text.encode()).hexdigest()
