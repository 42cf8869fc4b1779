"""Plain facts by name, beside the chain: what is true now, and what was deleted.

Deployments, names of backbones and refused runs are facts. So are the versions and the
snapshots that ``headrace gc`` and ``headrace forget`` have deleted, which is recorded
before it is done: from then on such a version can no longer be promoted.

Of what was forgotten there are tombstones, which do not reveal what they stand for: an
HMAC-SHA256 of an item's digest, or of a group's value, under the ledger's own secret.
Who has only the store cannot test a guess; who can read the ledger can, but cannot list
what was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from headrace.errors import DependencyError, HeadraceError
from headrace.records import Record
from headrace.state.ledger.chain import last_of
from headrace.state.ledger.database import Database
from headrace.state.ledger.records import Version, utc_now
from headrace.state.ledger.schema import FACTS, MARKER

_DELETED, _FORGETTING, _TOMBSTONE = "deleted ", "forgetting ", "tombstone "


def refusal_of(pipeline: str) -> str:
    """The name under which the last refused run of a pipeline is recorded."""
    return f"refusal of {pipeline}"


class Refused(Record):
    """A run that was refused; the fact is this as JSON.

    Attributes:
        flow_run_id: of Prefect.
        run_id: of the run in MLflow that has its report; empty if there is none.
        reason: why, in a line.
    """

    flow_run_id: str
    run_id: str
    reason: str


class Forgetting(Record):
    """That somebody asked for items to be forgotten; the fact is this as JSON.

    Attributes:
        kind: ``item`` or ``group``.
        begun, ended: ISO 8601, UTC; ``ended`` is None until it was carried out.
    """

    pipeline: str
    kind: str
    who: str
    begun: str
    ended: str | None = None


def version_key(version: Version) -> str:
    """The name under which the deletion of a version's files is recorded."""
    return f"versions/{version.model}/{version.version}"


class Facts:
    """What somebody recorded under a name.

    A deployment has Prefect's name, ``<flow>/<deployment>``, and the entrypoint of its
    flow. `refusal_of` names one more fact of a pipeline.

    Args:
        database: of the ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, beginning: str = "") -> dict[str, str]:
        """Every fact whose name begins so, by the rest of its name, sorted."""
        begins = FACTS.c.name.startswith(beginning, autoescape=True)
        query = sa.select(FACTS.c.name, FACTS.c.value).where(begins)
        rows = self._database.rows(query.order_by(FACTS.c.name))
        return {row["name"].removeprefix(beginning): row["value"] for row in rows}

    def recorded(self, name: str) -> str | None:
        """What is recorded under a name; None if nothing is."""
        query = sa.select(FACTS.c.value).where(FACTS.c.name == name)
        return next((row["value"] for row in self._database.rows(query)), None)

    def record(
        self, facts: Mapping[str, str], who: str, *, decisions: int | None = None
    ) -> None:
        """Record facts, except those that are recorded already.

        Args:
            facts: by name; an empty one withdraws what was recorded.
            who: the user who records them.
            decisions: as `decisions` returned them when this was planned; None if that
                does not matter.

        Raises:
            DependencyError: the ledger has other decisions now. Nothing is recorded.
        """
        known = self.all()
        changed = {n: one for n, one in facts.items() if known.get(n, "") != one}
        if not changed:
            return
        with self._database.adding() as connection:
            if decisions not in (None, self.decisions()):
                raise DependencyError(
                    "The ledger was changed while a collection was planned.",
                    "Nothing was deleted. Run `headrace gc` again.",
                    was_retried=True,
                )
            for name, value in changed.items():
                connection.execute(sa.delete(FACTS).where(FACTS.c.name == name))
                row = {"name": name, "value": value, "who": who, "moment": utc_now()}
                if value:
                    connection.execute(sa.insert(FACTS).values(**row))

    def decisions(self) -> int:
        """How many versions, evidence, decisions and approvals there are."""
        with self._database.reading() as connection:
            return last_of(connection)[0]

    # What was deleted

    def record_deleted(
        self, kinds: Mapping[str, str], who: str, *, decisions: int | None = None
    ) -> None:
        """Record what will be deleted; see `record`.

        Args:
            kinds: what each is, in words, by `version_key` or its key in the store.
        """
        facts = {f"{_DELETED}{key}": kind for key, kind in kinds.items()}
        self.record(facts, who, decisions=decisions)

    def deleted(self) -> dict[str, str]:
        """The kind of all that was deleted, by key."""
        return self.all(_DELETED)

    def is_deleted(self, version: Version) -> bool:
        """Whether files of a version were collected or forgotten."""
        return self.recorded(f"{_DELETED}{version_key(version)}") is not None

    def require_files(self, version: Version, kind: type[HeadraceError]) -> None:
        """Raise an error of this kind for a version whose files are gone for good."""
        if self.is_deleted(version):
            raise kind(
                f"Files of version {version.version} of {version.model} were deleted "
                "by `headrace gc` or `headrace forget`.",
                f"Run `headrace run {version.model}`, which registers a new version.",
            )

    # What is to be forgotten

    def secret(self) -> str:
        """The secret key of the ledger, 64 hex digits."""
        (row,) = self._database.rows(sa.select(MARKER.c.secret))
        return str(row["secret"])

    def tombstones(self) -> frozenset[str]:
        """The marks of what was to be forgotten."""
        return frozenset(self.all(_TOMBSTONE))

    def begin_forgetting(
        self, pipeline: str, kind: str, who: str, marks: Iterable[str]
    ) -> None:
        """Record a request and its tombstones."""
        request = Forgetting(pipeline=pipeline, kind=kind, who=who, begun=utc_now())
        facts = {f"{_TOMBSTONE}{mark}": "forgotten" for mark in marks}
        name = f"{_FORGETTING}{request.begun} {pipeline}"
        self.record({name: request.model_dump_json(), **facts}, who)

    def end_forgettings(self, who: str) -> None:
        """Record that all requests were carried out."""
        ended = {"ended": utc_now()}
        facts = {
            f"{_FORGETTING}{one.begun} {one.pipeline}": one.model_copy(
                update=ended
            ).model_dump_json()
            for one in self.forgettings()
            if one.ended is None
        }
        self.record(facts, who)

    def forgettings(self) -> list[Forgetting]:
        """All requests, oldest first."""
        values = self.all(_FORGETTING).values()
        return [Forgetting.model_validate_json(value) for value in values]
