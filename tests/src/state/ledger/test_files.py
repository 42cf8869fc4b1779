"""Which deployments are recorded: the last word on a name holds."""

import pytest
import sqlalchemy as sa

from headrace.state.ledger import Ledger
from headrace.state.ledger.database import Database
from headrace.state.ledger.events import EVENTS
from headrace.state.ledger.files import Deployments


def rows(url):
    engine = sa.create_engine(url)
    query = sa.select(EVENTS.c.subject, EVENTS.c.body).where(EVENTS.c.kind == "fact")
    with engine.connect() as connection:
        found = connection.execute(query.order_by(EVENTS.c.number))
        return [(name, body["value"], body["who"]) for name, body in found]


def test_a_folder_is_not_one_with_a_similar_name(ledger):
    ledger.anchor({"corrections/a_b/1.json": "1" * 64})
    ledger.anchor({"corrections/a-b/2.json": "2" * 64})
    assert ledger.last_anchor_below("corrections/a_b/") == "corrections/a_b/1.json"
    assert ledger.last_anchor_below("corrections/a%/") == ""


def test_a_deployment_is_recorded_once_changed_and_withdrawn(tmp_path):
    url = f"sqlite:///{tmp_path}/headrace.db"
    ledger = Deployments(url)
    assert ledger.all() == {}
    ledger.record({"train/digits": "a.b", "fit/digits": "c.d"}, "ada@lab")
    ledger.record({"train/digits": "a.b"}, "grace@lab")
    assert Deployments(url).all() == {"train/digits": "a.b", "fit/digits": "c.d"}
    ledger.record({"fit/digits": "", "none/digits": ""}, "grace@lab")
    assert ledger.all() == {"train/digits": "a.b"}
    ledger.record({"fit/digits": "c.d"}, "grace@lab")
    assert ledger.all()["fit/digits"] == "c.d"
    assert rows(url) == [
        ("train/digits", "a.b", "ada@lab"),
        ("fit/digits", "c.d", "ada@lab"),
        ("fit/digits", "", "grace@lab"),
        ("fit/digits", "c.d", "grace@lab"),
    ]


@pytest.mark.parametrize("kind", [Deployments, Ledger])
def test_many_facts_are_recorded_over_two_connections(kind, tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/headrace.db"
    opened, connect = list[int](), Database._connect
    ledger = kind(url)
    monkeypatch.setattr(
        Database, "_connect", lambda self: (opened.append(1), connect(self))[1]
    )
    ledger.record({f"train/digits{i}": "a.b" for i in range(9)}, "ada@lab")
    assert len(opened) == 2, "one reads what is known, one adds"
    assert ledger.recorded("train/digits8") == "a.b"
    assert ledger.recorded("train/digits") is None
