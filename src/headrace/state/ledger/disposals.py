"""What was deleted: by ``headrace gc``, and what was to be forgotten.

A collection is recorded in one transaction before anything is deleted. From then on its
files count for nothing, and the versions in it can no longer be promoted.

Of what was forgotten the ledger has tombstones, which do not reveal what they stand
for: an HMAC-SHA256 of an item's digest, or of a group's value, under a random key of
this ledger. Who has only the store cannot test a guess; who can read the ledger can,
but cannot list what was forgotten. The store has a copy of the rows. So the key is in
a table of its own, and a row has its sha256, by which another key in its place is
noticed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from pydantic import Field

from headrace.errors import HeadraceError, IntegrityError, PromotionError
from headrace.state.ledger.chain import Appender
from headrace.state.ledger.events import DECIDING, EVENTS, Event, Key, columns, utc_now
from headrace.state.ledger.files import Anchor, Files
from headrace.state.ledger.journal import about
from headrace.state.ledger.rows import Version

KEY = sa.Table("ledger_key", sa.MetaData(), *columns(sa.String, "key"))
VERSIONS_KIND = "versions"
_SHA256 = "sha256:"

R = TypeVar("R", bound=HeadraceError)


class Collection(Event):
    """One run of ``headrace gc``; ``policy`` says what it was to keep."""

    KIND: ClassVar = "collection"
    STEP: ClassVar = "id"

    id: int | None = None
    who: str
    when: str = Field(default_factory=utc_now)
    policy: Mapping[str, Any]


class Collected(Event):
    """One thing that was collected.

    Attributes:
        kind: in words, such as ``snapshots``.
        key: where it was: a key of the store, or ``mlflow/runs/ID`` and the like.
        digest: of its content, where one is recorded; else empty.
        bytes: its size; 0 for rows of a database.
        collection: the number of the run that collected it.
    """

    KIND: ClassVar = "collected"
    SUBJECT: ClassVar = "key"

    kind: str
    key: str
    digest: str = ""
    bytes: int = 0
    collection: int = 0

    @property
    def rests_on(self) -> Key:
        """The collection."""
        return Key("collection", "", "", self.collection)


class Forgetting(Event):
    """That somebody asked for items to be forgotten; ``kind`` is item or group.

    ``salt`` is the sha256 of the ledger's key.
    """

    KIND: ClassVar = "forgetting"
    STEP: ClassVar = "id"

    id: int | None = None
    pipeline: str
    kind: str
    who: str
    when: str = Field(default_factory=utc_now)
    salt: str


class Tombstone(Event):
    """The mark of something that is to be forgotten."""

    KIND: ClassVar = "tombstone"
    SUBJECT: ClassVar = "mark"
    IS_SINGLE: ClassVar = True

    mark: str
    forgetting: int

    @property
    def rests_on(self) -> Key:
        """The request."""
        return Key("forgetting", "", "", self.forgetting)


class Forgotten(Event):
    """That a request was carried out, and how much was deleted."""

    KIND: ClassVar = "forgotten"
    SUBJECT: ClassVar = "forgetting"

    forgetting: int
    counts: Mapping[str, int]
    when: str = Field(default_factory=utc_now)

    @property
    def rests_on(self) -> Key:
        """The request."""
        return Key("forgetting", "", "", self.forgetting)


class Outdated(Exception):
    """A version, evidence or decision was added since the collection was planned."""


def version_key(version: Version) -> str:
    """The key of a version's files."""
    return f"{VERSIONS_KIND}/{version.model}/{version.version}"


class Disposals(Files):
    """The collections and the tombstones of one ledger."""

    def decisions(self) -> int:
        """How many versions, evidence, entries and approvals there are."""
        with self._database.reading() as connection:
            return _decisions(connection)

    def record_collection(
        self,
        items: Iterable[Collected],
        files: Iterable[str],
        *,
        who: str,
        policy: Mapping[str, Any],
        decisions: int,
    ) -> int:
        """Record what will be deleted, and that its files count for nothing.

        Args:
            items: what is collected.
            files: keys of the files whose digest is in the ledger.
            who: the user.
            policy: what was to be kept.
            decisions: as `decisions` returned them before the plan was made.

        Returns:
            the number of the collection.

        Raises:
            Outdated: the ledger has other decisions now. Nothing is recorded.
        """
        with self._adding() as rows:
            if _decisions(rows.connection) != decisions:
                raise Outdated
            number = rows.add(Collection(who=who, policy=policy)).id or 0
            for item in items:
                rows.add(item.model_copy(update={"collection": number}))
            for key in files:
                rows.add(Anchor(key=key, digest=""))
            return number

    def collections(self) -> list[Collection]:
        """All runs of ``headrace gc``, oldest first."""
        return self._all(Collection)

    def collected(self) -> dict[str, Collected]:
        """All that was collected, by key."""
        return {item.key: item for item in self._all(Collected)}

    def is_collected(self, version: Version) -> bool:
        """Whether files of a version were collected or forgotten."""
        with self._database.reading() as connection:
            return _is_collected(connection, version)

    def key(self) -> str:
        """The secret key of the ledger, 64 hex digits; the first call makes it.

        Raises:
            IntegrityError: it is not the one by which items were forgotten.
        """
        recorded, query = self._recorded_key(), sa.select(KEY.c.key)
        self._database.ensure(KEY.metadata)
        with self._database.reading() as connection:
            key = connection.execute(query).scalar()
        if key is None and not recorded:
            with self._database.locking() as connection:
                key = connection.execute(query).scalar()
                if key is None:
                    key = secrets.token_hex(32)
                    connection.execute(sa.insert(KEY).values(key=key))
        if recorded and (key is None or _sha256(key) != recorded):
            raise IntegrityError(
                f"The key of the ledger {self._database.name} is gone or another one: "
                "what was forgotten could not be recognised.",
                f"Restore the table {KEY.name} from a backup of the ledger.",
            )
        return str(key)

    def _recorded_key(self) -> str:
        last = self._last(Forgetting)
        return last.salt if last else ""

    def tombstones(self) -> tuple[str, frozenset[str]]:
        """The key of the ledger, hex, and its tombstones; empty if there are none."""
        if not self._recorded_key():
            return "", frozenset()
        return self.key(), frozenset(stone.mark for stone in self._all(Tombstone))

    def begin_forgetting(
        self, pipeline: str, kind: str, who: str, marks: Iterable[str]
    ) -> int:
        """Record a request and its new tombstones; returns its number."""
        salt = _sha256(self.key())
        request = Forgetting(pipeline=pipeline, kind=kind, who=who, salt=salt)
        with self._adding() as rows:
            number = rows.add(request).id or 0
            query = sa.select(EVENTS.c.subject).where(EVENTS.c.kind == Tombstone.KIND)
            present = set(rows.connection.execute(query).scalars())
            for mark in sorted({*marks} - present):
                rows.add(Tombstone(mark=mark, forgetting=number))
            return number

    def end_forgetting(self, numbers: Iterable[int], counts: Mapping[str, int]) -> None:
        """Record that requests were carried out, and how much was deleted."""
        with self._adding() as rows:
            for number in numbers:
                rows.add(Forgotten(forgetting=number, counts=dict(counts)))

    def forgettings(self) -> list[Forgetting]:
        """All requests, oldest first."""
        return self._all(Forgetting)

    def open_forgettings(self) -> list[Forgetting]:
        """The requests that were not carried out yet."""
        ended = {one.forgetting for one in self._all(Forgotten)}
        return [one for one in self.forgettings() if one.id not in ended]


def refuse_collected(rows: Appender, version: Version) -> None:
    """Raise PromotionError, in the transaction of a promotion, if it is collected."""
    if _is_collected(rows.connection, version):
        raise collected_error(version, PromotionError)


def collected_error(version: Version, kind: type[R]) -> R:
    """The error for a version whose files are gone for good."""
    return kind(
        f"Files of version {version.version} of {version.model} were deleted by "
        "`headrace gc` or `headrace forget`.",
        f"Run `headrace run {version.model}`, which registers a new version.",
    )


def _is_collected(connection: sa.Connection, version: Version) -> bool:
    own = about("", version_key(version)) & (EVENTS.c.kind == Collected.KIND)
    return bool(connection.execute(sa.select(EVENTS.c.number).where(own)).first())


def _decisions(connection: sa.Connection) -> int:
    count = sa.select(sa.func.count()).where(EVENTS.c.kind.in_(DECIDING))
    return int(connection.execute(count.select_from(EVENTS)).scalar_one())


def _sha256(key: str) -> str:
    return _SHA256 + hashlib.sha256(bytes.fromhex(key)).hexdigest()
