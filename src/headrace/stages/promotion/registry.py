"""MLflow's registry of a model: set as in the ledger, and compared with it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from headrace.state.home import Home
from headrace.state.ledger import Ledger, Mismatch
from headrace.state.tracking import WEIGHTS_TAG
from headrace.tasks import task

HEAD_TAG = "headrace.ledger_head"  # of MLflow's version that was made champion
_MEND_LOST = (
    "It goes on working, as the ledger and its files are whole. Restore MLflow's "
    "database from a backup, or promote another version."
)

log = logging.getLogger("headrace")


def aliases_of(model: str, ledger: Ledger) -> dict[str, int | None]:
    """The version of each alias, by the ledger.

    The challenger is the newest version that was judged by its file's law, if it is not
    the champion and has failed no gate except the comparison.
    """
    champion = ledger.champion(model)
    number = champion.version.version if champion else None
    newest, challenger = ledger.newest_evidence(model), None
    if newest is not None and newest.version != number:
        challenger = newest.version if newest.is_sound else None
    return {"champion": number, "challenger": challenger}


def project_aliases(model: str, home: Home) -> dict[int, tuple[str, ...]]:
    """Set MLflow's aliases as in the ledger; returns them by version."""
    aliases, ledger, tracking = None, home.ledger, home.tracking
    while aliases != (now := aliases_of(model, ledger)):  # another may promote as well
        aliases = now
        tracking.project_aliases(model, aliases)
        tracking.describe_model(model, _champion_tags(model, now["champion"], ledger))
    return {version: (alias,) for alias, version in now.items() if version is not None}


def publish_head(model: str, home: Home) -> None:
    """Write the last link of the ledger's chain to the champion's version and the log.

    With it, a ledger that was cut off or replaced by an older one is noticed.
    """
    if champion := home.ledger.champion(model):
        number, head = champion.version.version, home.ledger.head()
        home.tracking.tag_version(model, number, {HEAD_TAG: head})
        log.info("%s: champion is version %d; ledger head %s", model, number, head)


def published_heads(models: Iterable[str], home: Home) -> set[str]:
    """The links that were published at decisions on models.

    Raises:
        DependencyError: MLflow does not answer.
    """
    listed = (home.tracking.registered(model)[1].values() for model in models)
    tags = (entry.get(HEAD_TAG, "") for entries in listed for entry in entries)
    return {head for head in tags if head}


def _champion_tags(model: str, number: int | None, ledger: Ledger) -> dict[str, str]:
    """What the list of models shows of a model: how its champion does."""
    evidence = ledger.standing_evidence(model, number) if number else None
    if number is None or evidence is None:
        return {}
    learned = task(ledger.version(model, number).task)
    return learned.result_tags(evidence.metrics, evidence.gates)


def registry_mismatches(model: str, home: Home) -> Iterator[Mismatch]:
    """What MLflow's registry of a model has otherwise than the ledger.

    Raises:
        DependencyError: MLflow or the ledger does not answer.
    """
    ledger, (present, listed) = home.ledger, home.tracking.registered(model)
    # Read now: a run may have registered a version meanwhile.
    versions = {version.version: version for version in ledger.versions(model)}
    aliases = aliases_of(model, ledger)
    for number in sorted(versions.keys() - listed):
        is_champion = number == aliases["champion"]
        if not is_champion and ledger.facts.is_deleted(versions[number]):
            continue
        message = f"MLflow's registry has no version {number} of {model}."
        if is_champion:
            message = f"{message[:-1]}, which is the champion."
        what = f"version {number}"
        lost = Mismatch.of(versions[number], "mlflow", what, message, _MEND_LOST)
        yield lost.model_copy(update={"is_gone": True})
    for alias, wanted in aliases.items():
        if wanted is None or wanted in listed:
            yield from alias_mismatch(model, alias, wanted, present)
    for number in sorted(listed.keys() - versions):
        # Otherwise another tool registered it, or a killed run that will continue.
        if WEIGHTS_TAG in listed[number] and not ledger.unsettled_since(model):
            yield unknown_to_ledger("version", f"version {number} of {model}")


def alias_mismatch(
    model: str, alias: str, wanted: int | None, present: Mapping[str, int]
) -> Iterator[Mismatch]:
    """Whether an alias is on another version than the ledger has; at most one."""
    number = present.get(alias)
    if number != wanted:
        yield Mismatch(
            where="mlflow",
            what=f"alias {alias}",
            message=f"MLflow's alias {alias} of {model} is on {_named(number)}, and "
            f"the ledger has {_named(wanted)}.",
            action=f"Run `headrace verify {model} --repair`, which puts it right.",
            model=model,
            version=wanted,
        )


def unknown_to_ledger(kind: str, named: str) -> Mismatch:
    """Something of MLflow's registry that Headrace registered and the ledger lacks."""
    return Mismatch(
        where="ledger",
        what=named,
        message=f"MLflow has {named}, and the ledger has not: an older ledger, or an "
        "empty one, may have been put in its place.",
        action=f"Put the newer ledger back, or delete that {kind} in MLflow.",
    )


def restore_aliases(model: str, home: Home) -> list[str]:
    """Correct a model's aliases; returns the steps done."""
    mismatches = registry_mismatches(model, home)
    if not any(mismatch.what.startswith("alias ") for mismatch in mismatches):
        return []
    project_aliases(model, home)
    return ["put MLflow's aliases where the ledger has them"]


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
