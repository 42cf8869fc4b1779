"""Earlier comparisons with a champion, from the evidence in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from headrace.state.ledger.records import Evidence, Version
from headrace.state.ledger.schema import CHAIN

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger


class Attempt(NamedTuple):
    """One comparison: a training, against a champion, on some items.

    Attributes:
        training: its identity.
        champion: the version that it was compared with; None if there was none.
        snapshot: the digest of the data.
        rows: the digest of the test items.
    """

    training: str
    champion: int | None
    snapshot: str
    rows: str


def attempts_of(ledger: Ledger, model: str) -> list[Attempt]:
    """All evaluations of a model's versions that are evidence, oldest first.

    Raises:
        DependencyError: the ledger does not answer.
    """
    training = CHAIN.c.body["training"].as_string().label("training")
    names = ("champion_version", "snapshot_digest", "rows_digest")
    values = [CHAIN.c.body[name].label(name) for name in names]
    own = sa.select(CHAIN.c.version).where(CHAIN.c.model == model)
    versions = own.add_columns(training).where(CHAIN.c.kind == Version.KIND)
    evidence = own.add_columns(*values).where(CHAIN.c.kind == Evidence.KIND)
    with ledger.database.reading_once():
        rows = ledger.database.rows(versions)
        trainings = {row["version"]: row["training"] for row in rows}
        return [
            Attempt(trainings[row["version"]], *(row[name] for name in names))
            for row in ledger.database.rows(evidence.order_by(CHAIN.c.sequence))
        ]


def earlier_attempts(
    attempts: Sequence[Attempt], training: str, champion: int, snapshot: str
) -> int:
    """How many evaluations came before the first one of this training.

    Args:
        attempts: all evidence of the model, oldest first.
        training: its identity.
        champion: the version that it is compared with.
        snapshot: the digest of the snapshot with the test items.
    """
    for number, attempt in enumerate(attempts):
        if attempt[:3] == (training, champion, snapshot):
            return number
    return len(attempts)
