"""The signatures of the ledger's chain, one for each link.

A link follows from all rows before it. So a signature covers them, too, and nobody
without the key can change, insert or remove a row and recompute the chain. Rows from
before the first signature are covered by it. Once a link is signed, only a process with
a key adds rows, so that a row without a signature is somebody else's. There is no first
signature where the store has something that was signed before: otherwise whoever takes
all signatures away would have the next one cover what he wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from headrace.errors import IntegrityError, UsageError
from headrace.records import Record
from headrace.settings import Settings, variable
from headrace.state.ledger.events import (
    EVENTS,
    OF_MODEL,
    SIGNATURES,
    SIGNED,
    Row,
    name_of,
    trigger_problem,
)
from headrace.state.ledger.stripped import refuse_if_stripped
from headrace.state.signing.keys import (
    SigningKey,
    TrustedKeys,
    named,
    signing_key,
    trusted_keys,
)
from headrace.state.store import Store

_BATCH = 1000


class SignedLink(Record):
    """A link of the chain with its signature.

    Attributes:
        number: of the link: 1, 2, 3 …
        key: the id of the key that signed it.
        signature: DER in base64.
    """

    number: int
    link: str
    key: str
    signature: str

    def is_accepted(self, trusted: TrustedKeys) -> bool:
        """Whether one of the keys has signed this link at this number."""
        return trusted.accept(
            self.key, self.signature, _message(self.number, self.link)
        )


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """The result of checking the signatures.

    Attributes:
        links: number of links that have a signature.
        first: the number of the first of them; 0 if there is none.
        problem: the first mismatch; empty if there is none.
    """

    links: int
    first: int
    problem: str = ""


def sign_link(number: int, link: str, key: SigningKey) -> dict[str, object]:
    """The values of the signature of a link."""
    signed = key.sign(_message(number, link))
    return {"number": number, "link": link, "key": key.id, "signature": signed}


def _message(number: int, link: str) -> bytes:
    return f"headrace ledger 1\n{number}\n{link}".encode()


def key_for(connection: sa.Connection, name: str, store: str = "") -> SigningKey | None:
    """The key that signs the rows of a transaction; None for a ledger without one.

    Args:
        connection: of the transaction.
        name: of the ledger, for messages.
        store: URI of the one beside the ledger; by default that of the settings.

    Raises:
        UsageError: the ledger is signed, and this process has no key; or its key
            cannot be used; or the last link is signed by a key that does not count.
        IntegrityError: no link is signed, and something was signed before; or the last
            link is not signed by a key that counts.
    """
    key, is_signed = _own_key(), _is_signed(connection)
    if key is None and is_signed:
        raise UsageError(
            f"The ledger {name} is signed, and no signing key is set here. Nothing was "
            "changed.",
            "Set HEADRACE_SIGNING_KEY or HEADRACE_SIGNING_KEY_FILE.",
        )
    if key is None:
        return None
    last = last_signed(connection)
    if last is None:
        refuse_if_stripped(connection, name, Store(store or Settings().store))
        SIGNED.create_all(connection)
        return key
    trusted = trusted_keys(Settings())
    if last.key != key.id and not last.is_accepted(trusted):
        raise UsageError(
            f"The ledger {name} is signed by the key {named(last.key)}, which does not "
            "count here. Nothing was changed.",
            "Sign with that key, or name its public key in HEADRACE_VERIFY_KEY_FILE, "
            "if this key is its successor.",
        )
    if not _covers(connection, last, trusted):
        raise IntegrityError(
            f"The last row of the ledger {name} is not signed by a key that counts: "
            "somebody without a key has written to it. Nothing was changed.",
            "Run `headrace verify`, restore the ledger from a backup, and change who "
            "may write to its database.",
        )
    return key


def _covers(connection: sa.Connection, last: SignedLink, trusted: TrustedKeys) -> bool:
    """Whether the last link is signed, by a key that counts."""
    newest = sa.select(EVENTS.c.number, EVENTS.c.link).order_by(EVENTS.c.number.desc())
    row = connection.execute(newest.limit(1)).one_or_none()
    is_last = row is not None and (row.number, row.link) == (last.number, last.link)
    return is_last and last.is_accepted(trusted)


def find_unsigned_end(connection: sa.Connection) -> str:
    """Why the chain's signatures cannot be whole; empty if its end does not show it.

    Without a key in the settings, nothing is looked at.
    """
    trusted, some = trusted_keys(Settings()), sa.select(EVENTS.c.number).limit(1)
    if not trusted or connection.execute(some).first() is None:
        return ""
    last = last_signed(connection)
    if last is None:
        return "no row is signed"
    return "" if _covers(connection, last, trusted) else "its last row is not signed"


def lacks_key(connection: sa.Connection) -> bool:
    """Whether the ledger is signed, and this process has no key.

    Raises:
        UsageError: its key cannot be used.
    """
    return _own_key() is None and _is_signed(connection)


def _own_key() -> SigningKey | None:
    """The key of this process; without one, no time is spent on all settings."""
    names = ("HEADRACE_SIGNING_KEY", "HEADRACE_SIGNING_KEY_FILE")
    return signing_key(Settings()) if any(map(variable, names)) else None


def _is_signed(connection: sa.Connection) -> bool:
    """Whether the ledger has the table of signatures."""
    text = "SELECT to_regclass('signatures') IS NOT NULL"
    if connection.dialect.name == "sqlite":
        text = "SELECT count(*) FROM sqlite_master WHERE name = 'signatures'"
    return bool(connection.exec_driver_sql(text).scalar())


def last_signed(connection: sa.Connection) -> SignedLink | None:
    """The last link that is signed, unchecked; None if none is."""
    if not _is_signed(connection):
        return None
    newest = sa.select(SIGNATURES).order_by(SIGNATURES.c.number.desc()).limit(1)
    row = connection.execute(newest).mappings().one_or_none()
    return SignedLink(**row) if row else None


def check(
    connection: sa.Connection,
    trusted: TrustedKeys,
    after: int = 0,
    model: str = "",
) -> SignatureReport:
    """Check that every link from the first signed one on has a signature that counts.

    The chain itself must have been checked. Without keys, signatures are only counted.

    Args:
        connection: to the ledger's database.
        trusted: the keys.
        after: the number of a row. If there is one, only that row, those after it and
            those of one model are checked.
        model: that one.
    """
    count, first, last = 0, 0, 0
    if has_any := _is_signed(connection):
        number = SIGNATURES.c.number
        of_all = sa.func.count(), sa.func.min(number), sa.func.max(number)
        count, first, last = connection.execute(sa.select(*of_all)).one()
    report = SignatureReport(count, first or 0)
    end = connection.execute(sa.select(sa.func.max(EVENTS.c.number))).scalar() or 0
    if not trusted or not end:
        return report
    if not (has_any and count):
        problem = "no row is signed: its signatures were removed, or it never had any"
    elif last > end:
        problem = (
            f"row {last} was signed, and the chain ends at row {end}: its last rows "
            "were removed"
        )
    else:
        parts = [EVENTS.c.number >= max(first, after)]
        if after:
            own = EVENTS.c.kind.in_(OF_MODEL) & (EVENTS.c.model == model)
            parts.append(own & (EVENTS.c.number >= first))
        found = (_find_problem(connection, part, trusted) for part in parts)
        problem = next(filter(None, found), "")
    problem = problem or trigger_problem(connection, SIGNATURES)
    return SignatureReport(report.links, report.first, problem)


def _find_problem(
    connection: sa.Connection, wanted: sa.ColumnElement[bool], trusted: TrustedKeys
) -> str:
    names = ("number", "kind", "model", "subject", "step", "link")
    columns = [EVENTS.c[name] for name in names]
    given = [SIGNATURES.c[n].label(f"signed_{n}") for n in ("link", "key", "signature")]
    query = sa.select(*columns, *given).outerjoin(
        SIGNATURES, SIGNATURES.c.number == EVENTS.c.number
    )
    query = query.where(wanted).order_by(EVENTS.c.number)
    stream = connection.execution_options(yield_per=_BATCH).execute(query)
    for row in map(dict, stream.mappings()):
        if problem := _problem_of(row, connection, trusted):
            return problem
    return ""


def _problem_of(row: Row, connection: sa.Connection, trusted: TrustedKeys) -> str:
    """What is wrong with the signature of a link; empty if it counts."""
    where = f"the {name_of(row)}"
    if row["signed_key"] is None:
        return f"{where} has no signature: somebody without a key has added it"
    signed = SignedLink(
        number=row["number"],
        link=row["link"],
        key=row["signed_key"],
        signature=row["signed_signature"],
    )
    if signed.key not in trusted:
        return f"{where} is signed by another key, {named(signed.key)}"
    if row["signed_link"] == signed.link and signed.is_accepted(trusted):
        return ""
    if older := _signed_instead(signed, connection, trusted):
        return f"{where} has the signature of row {older}, put in its place"
    return f"the signature of {where} is not of this row: one of them was changed"


def _signed_instead(
    signed: SignedLink, connection: sa.Connection, trusted: TrustedKeys
) -> int:
    """The number of the link that a signature is of; 0 if it is of none."""
    links = sa.select(EVENTS.c.number, EVENTS.c.link).order_by(EVENTS.c.number)
    for number, link in connection.execute(links).all():
        other = {"number": number, "link": link}
        if signed.model_copy(update=other).is_accepted(trusted):
            return int(number)
    return 0


def copy_signatures(source: sa.Connection, target: sa.Connection) -> None:
    """Copy the signatures of a ledger that the copy of it lacks."""
    if not _is_signed(source):
        return
    SIGNED.create_all(target)
    present = set(target.execute(sa.select(SIGNATURES.c.number)).scalars())
    rows = source.execute(sa.select(SIGNATURES).order_by(SIGNATURES.c.number))
    missing = [dict(row) for row in rows.mappings() if row["number"] not in present]
    if missing:
        target.execute(sa.insert(SIGNATURES), missing)
