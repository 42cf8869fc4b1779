"""``headrace forget``: deletes all that shows an item, and leaves it out from then on.

The ledger records that something was forgotten, by whom and when, and keyed digests, by
which the next ingest leaves the items out. All deletions are by these digests. So a
killed command is ended by the next one, which need not know what was to be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from headrace.data.corrections import ForgottenItems
from headrace.errors import DependencyError, NotFoundError, UsageError
from headrace.retention import alive, alone
from headrace.retention.forgetting.deleting import delete
from headrace.retention.forgetting.outcome import Outcome, outcome_of
from headrace.retention.forgetting.snapshots import find_rows, items_of_group
from headrace.retention.roots import results_of, snapshot_of
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger.holding import COLLECTING

_SHA256 = re.compile(r"[0-9a-f]{64}")


def forget(
    settings: Settings,
    pipeline: str,
    *,
    item: str = "",
    group: str = "",
    confirm: Callable[[Outcome], bool],
) -> Outcome:
    """Forget an item or a group, and end what a killed command has left.

    Args:
        settings: where things are, and who the user is.
        pipeline: its name.
        item: sha256 of a decoded item, hex.
        group: a value of ``data.group``. Without either, only the rest of earlier
            commands is done.
        confirm: gets what would be done, and decides.

    Raises:
        UsageError: the digest is none, or both an item and a group are given.
        NotFoundError: there is no such pipeline.
        DependencyError: a run is in progress, or a place does not answer.
        IntegrityError: a snapshot or a request log cannot be searched.
    """
    if item and group:
        raise UsageError("Give either --item or --group.", "Run the command twice.")
    if item and not _SHA256.fullmatch(item):
        raise UsageError(
            f"--item {item[:70]!r} is not the sha256 of an item.",
            "It has 64 digits 0-9 and a-f, as the column `item` of a snapshot.",
        )
    home = Home(settings)
    ledger, facts, who = home.ledger, home.ledger.facts, settings.user
    _check_pipeline(pipeline, home)
    kind = "item" if item else "group" if group else ""
    with alone(settings, "forget"):
        for lease in alive(settings):
            if lease.name != COLLECTING:
                raise DependencyError(
                    f"A run uses the data: {lease.name} by {lease}.",
                    "Nothing was changed. Wait until it has ended, or stop it, and "
                    "run the same command again.",
                    was_retried=True,
                )
        forgotten = _tombstones(pipeline, item, group, home)
        found = find_rows(home.store, forgotten)
        outcome = outcome_of(pipeline, found, ledger, kind)
        if not confirm(outcome):
            return outcome
        if kind:
            facts.begin_forgetting(pipeline, kind, who, forgotten.marks)
        deleted = delete(pipeline, found, home, forgotten)
        facts.end_forgettings(who)
        done = {"status": "forgotten", "deleted": dict(deleted)}
        return outcome.model_copy(update=done)


def _check_pipeline(pipeline: str, home: Home) -> None:
    names = {*home.ledger.models(), *home.store.names("pipelines")}
    if pipeline not in names:
        listed = ", ".join(sorted(names)) or "none"
        raise NotFoundError(
            f"There is no pipeline {pipeline!r}.", f"Known pipelines: {listed}."
        )


def _tombstones(pipeline: str, item: str, group: str, home: Home) -> ForgottenItems:
    """What is to be forgotten, together with all that was before.

    A group is found by its items in the snapshots of its pipeline: another pipeline's
    group of the same name may be something else.
    """
    forgotten = ForgottenItems.of(home.ledger, pipeline)
    marks = {forgotten.mark_item(item)} if item else set[str]()
    if group:
        marks.add(forgotten.mark_group(group))
        own = {one.snapshot_digest for one in home.ledger.versions(pipeline)}
        for _, saved, record in results_of(home.store):
            own |= {snapshot_of(record)} if saved.get("pipeline") == pipeline else set()
        for digest in own:
            found = items_of_group(digest, group, home.store)
            marks.update(map(forgotten.mark_item, found))
    return replace(forgotten, marks=forgotten.marks | marks)
