"""The digests of the store's files and the deployments, as the ledger recorded them.

Both tables are append-only, and the last row of a key or a name is valid. The ledger's
database has a login of its own, so write access to the store or to Prefect's server is
not enough to change either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping

import sqlalchemy as sa

from headrace.state.ledger.chain import ChainReport, glance, walk
from headrace.state.ledger.database import (
    Condition,
    Database,
    format_of,
    tables_of,
)
from headrace.state.ledger.engines import make_engine
from headrace.state.ledger.rows import utc_now
from headrace.state.ledger.signatures import (
    SignatureReport,
    SignedLink,
    check,
    find_unsigned_end,
    last_signed,
)
from headrace.state.ledger.tables import (
    ANCHORS,
    CHAIN,
    DEPLOYMENTS,
    columns,
)
from headrace.state.signing.keys import TrustedKeys

CHECKPOINTS = sa.Table(
    "checkpoints",
    sa.MetaData(),
    sa.Column("folder", sa.String, primary_key=True),
    *columns(sa.JSON, "digests"),
)


class Anchors:
    """Digests of files by their keys in the store; the last digest of a key counts."""

    _database: Database

    def anchor(self, digests: Mapping[str, str]) -> None:
        """Record the digests of files in the store, in one transaction.

        Args:
            digests: sha256 by key; an empty one invalidates the file.

        Raises:
            DependencyError: another run has taken over the lease, or the database
                does not answer.
        """
        with self._database.adding() as rows:
            known = _latest(rows.connection, digests)
            for key, digest in digests.items():
                if known.get(key, "") != digest:
                    rows.add(ANCHORS, _anchor(key, digest))

    def anchors(self, keys: Collection[str] | None = None) -> dict[str, str]:
        """The valid sha256 of each key that has one, in the order of their recording.

        Args:
            keys: by default all.
        """
        with self._database.reading() as connection:
            return {k: d for k, d in _latest(connection, keys).items() if d}

    def keep_checkpoint(self, folder: str, key: str, digest: str, most: int) -> None:
        """Record a checkpoint, in place of the oldest one of the same training.

        Checkpoints are no history: once a training has ended, nothing rests on them.
        So they are in no link of the chain.

        Args:
            folder: of the training's checkpoints, in the store.
            key: of this one.
            digest: its sha256.
            most: how many of a training count.

        Raises:
            DependencyError: as `anchor`.
        """
        with self._replacing_checkpoints(folder) as digests:
            digests.pop(key, None)
            digests[key] = digest
            for old in [*digests][:-most]:
                del digests[old]

    def forget_checkpoints(self, folder: str) -> None:
        """Record that no checkpoint of a training counts any more."""
        if self.checkpoints(folder):
            with self._replacing_checkpoints(folder) as digests:
                digests.clear()

    def checkpoints(self, folder: str) -> dict[str, str]:
        """The sha256 of each checkpoint of a training that counts, by key."""
        self._database.ensure(CHECKPOINTS.metadata)
        query = sa.select(CHECKPOINTS.c.digests).where(CHECKPOINTS.c.folder == folder)
        return next((dict(row["digests"]) for row in self._database.rows(query)), {})

    @contextlib.contextmanager
    def _replacing_checkpoints(self, folder: str) -> Iterator[dict[str, str]]:
        own = CHECKPOINTS.c.folder == folder
        self._database.ensure(CHECKPOINTS.metadata)
        with self._database.adding() as rows:
            present = sa.select(CHECKPOINTS.c.digests).where(own)
            digests = dict(rows.connection.execute(present).scalar() or {})
            yield digests
            rows.connection.execute(sa.delete(CHECKPOINTS).where(own))
            if digests:
                values = {"folder": folder, "digests": digests}
                rows.connection.execute(sa.insert(CHECKPOINTS).values(values))

    def last_anchor_below(self, folder: str) -> str:
        """The key below a folder that was recorded last; empty if there is none."""
        is_below = ANCHORS.c.key.startswith(folder, autoescape=True)
        query = sa.select(ANCHORS.c.key).where(is_below)
        rows = self._database.rows(query.order_by(ANCHORS.c.id.desc()).limit(1))
        return str(rows[0]["key"]) if rows else ""

    @staticmethod
    def format_at(url: str) -> int | None:
        """The format of the ledger in a database; None if there is no ledger."""
        engine = make_engine(url, timeout_seconds=2.0, creates=False)
        with engine.connect() as connection:
            return format_of(connection, tables_of(connection))

    def walk_chain(
        self, link: str = "", since: ChainReport | None = None
    ) -> ChainReport:
        """Check every row against the chain; see `chain.walk`."""
        with self._database.reading() as connection:
            return walk(connection, link, since)

    def glance(self) -> str:
        """The first mismatch of decisions with the chain; see `chain.glance`."""
        with self._database.reading() as connection:
            return glance(connection) or find_unsigned_end(connection)

    def check_signatures(self, trusted: TrustedKeys) -> SignatureReport:
        """Check that the links of the chain are signed; see `signatures.check`."""
        with self._database.reading() as connection:
            return check(connection, trusted)

    def signed_head(self) -> SignedLink | None:
        """The last link that is signed, with its signature, unchecked."""
        with self._database.reading() as connection:
            return last_signed(connection)

    def has_link(self, link: SignedLink) -> bool:
        """Whether the chain has a link at its number."""
        own = CHAIN.c.number == link.number, CHAIN.c.link == link.link
        return bool(self._database.rows(sa.select(CHAIN.c.number).where(*own)))


def folder_of(pipeline: str) -> str:
    """The name under which the folder of a pipeline's deployment is recorded."""
    return f"folder of {pipeline}"


def project_of(model: str) -> str:
    """The name under which the project that judges a model is recorded."""
    return f"project of {model}"


class Recorded:
    """Facts by name, such as a deployment's entrypoint; the last row is valid."""

    _database: Database

    def recorded(self, name: str) -> str | None:
        """What is recorded under a name; None if nothing ever was."""
        return self._last_facts(DEPLOYMENTS.c.name == name).get(name)

    def _last_facts(self, *where: Condition) -> dict[str, str]:
        """The last fact of each name, by one query."""
        table = DEPLOYMENTS.c
        newest = sa.select(sa.func.max(table.id)).where(*where).group_by(table.name)
        query = sa.select(DEPLOYMENTS).where(table.id.in_(newest)).order_by(table.id)
        rows = self._database.rows(query)
        return {str(row["name"]): str(row["entrypoint"]) for row in rows}

    def record(self, facts: Mapping[str, str], who: str) -> None:
        """Record facts, except those that are recorded already.

        Args:
            facts: by name; an empty one withdraws what was recorded.
            who: the user who records them.
        """
        known = self._last_facts(DEPLOYMENTS.c.name.in_(facts))
        changed = {n: fact for n, fact in facts.items() if known.get(n, "") != fact}
        if not changed:
            return
        with self._database.adding() as rows:
            for name, fact in changed.items():
                row = {"name": name, "entrypoint": fact, "who": who}
                rows.add(DEPLOYMENTS, {**row, "when": utc_now()})


class Deployments(Recorded):
    """The deployments that ``headrace deploy`` made: a worker starts only these.

    The folders of pipelines that deployments may run are recorded as well, and which
    of them is that of the present deployment.

    Args:
        url: SQLAlchemy URL of the ledger.

    Raises:
        UsageError: the URL names no ledger.
        DependencyError: the database does not answer. Every method raises it.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, timeout_seconds=10.0)

    def all(self) -> dict[str, str]:
        """The entrypoint of every recorded deployment, by name.

        A name is as Prefect writes it, ``<flow>/<deployment>``.
        """
        return {
            name: entrypoint
            for name, entrypoint in self._last_facts().items()
            if entrypoint
        }


def _anchor(key: str, digest: str) -> dict[str, str]:
    return {"key": key, "digest": digest, "created": utc_now()}


def _latest(
    connection: sa.Connection, keys: Collection[str] | None = None
) -> dict[str, str]:
    query = sa.select(ANCHORS.c.key, ANCHORS.c.digest).order_by(ANCHORS.c.id)
    if keys is not None:
        query = query.where(ANCHORS.c.key.in_(keys))
    latest: dict[str, str] = {}
    for key, digest in connection.execute(query):
        latest.pop(key, None)
        latest[key] = digest
    return latest
