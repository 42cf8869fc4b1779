"""MLflow's registry of a model: set as in the ledger, and compared with it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from headrace.state.home import Home
from headrace.state.ledger import Ledger, Mismatch, Version
from headrace.state.tracking import WEIGHTS_TAG, version_tags
from headrace.state.tracking.models import RegistryVersion
from headrace.tasks import task

_MEND = (
    "Restore MLflow's database from a backup, or run `headrace verify {} --repair`, "
    "which puts back what was recorded; and see who may write there."
)
HEAD_TAG = "headrace.ledger_head"  # of MLflow's version that was made champion
_MEND_LOST = f"It goes on working, as the ledger and its files are whole. {_MEND}"

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
    tags = (entry.tags.get(HEAD_TAG, "") for entries in listed for entry in entries)
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
        if not is_champion and ledger.is_collected(versions[number]):
            continue
        message = f"MLflow's registry has no version {number} of {model}."
        if is_champion:
            message = f"{message[:-1]}, which is the champion."
        what = f"version {number}"
        action = _MEND_LOST.format(f"{model}/{number}")
        lost = Mismatch.of(versions[number], "mlflow", what, message, action)
        yield lost.model_copy(update={"is_gone": True})
    for alias, wanted in aliases.items():
        if wanted is None or wanted in listed:
            yield from alias_mismatch(model, alias, wanted, present)
    runs: dict[int, set[str]] = {}
    for binding in ledger.bindings(model):
        runs.setdefault(binding.version, set()).add(binding.run_id)
    for number, entry in sorted(listed.items()):
        if number in versions:
            yield from _of_version(versions[number], entry, runs.get(number, set()))
        # Otherwise another tool registered it, or a killed run that will continue.
        elif WEIGHTS_TAG in entry.tags and not ledger.is_unsettled(model):
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


def _of_version(
    version: Version, entry: RegistryVersion, bound: set[str]
) -> Iterator[Mismatch]:
    """Compare the registry's entry of a version, whose runs are also the bound ones."""
    name = f"{version.model}/{version.version}"
    runs = {version.run_id, version.details.get("training", {}).get("run_id"), *bound}
    if entry.run_id and entry.run_id not in runs:
        message = (
            f"MLflow's version {name} is of the run {entry.run_id}, and the ledger has "
            f"{version.run_id}."
        )
        what = f"version {version.version}"
        yield Mismatch.of(version, "mlflow", what, message, _MEND.format(name))
    action = (
        f"Run `headrace verify {name} --repair`, which puts it right; and see who may "
        "write there."
    )
    for tag, value in version_tags(version).items():
        if (present := entry.tags.get(tag, "")) != value:
            message = (
                f"MLflow's tag {tag} of {name} is {present[:16] or 'gone'}, and the "
                f"ledger has {value[:16]}."
            )
            yield Mismatch.of(version, "mlflow", f"tag {tag}", message, action)


def unknown_to_ledger(kind: str, named: str) -> Mismatch:
    """Something of MLflow's registry that Headrace registered and the ledger lacks."""
    return Mismatch(
        where="ledger",
        what=named,
        message=f"MLflow has {named}, and the ledger has not: an older ledger, or an "
        "empty one, may have been put in its place.",
        action=f"Put the newer ledger back, or delete that {kind} in MLflow.",
    )


def restore_registry(version: Version, home: Home) -> list[str]:
    """Correct a model's aliases and a version's tags; returns the steps done."""
    done, name = [], version.model
    mismatches = list(registry_mismatches(name, home))
    if any(mismatch.what.startswith("alias ") for mismatch in mismatches):
        project_aliases(name, home)
        done.append("put MLflow's aliases where the ledger has them")
    tags = [mismatch for mismatch in mismatches if mismatch.what.startswith("tag ")]
    if any(mismatch.version == version.version for mismatch in tags):
        home.tracking.tag_version(name, version.version, version_tags(version))
        done.append("put its tags in MLflow right")
    return done


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
