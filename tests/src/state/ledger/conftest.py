"""A ledger of the model digits, and runs that want leases."""

import json

import pytest
import sqlalchemy as sa

from headrace.records import GateResult
from headrace.state.ledger import Evidence, Lease, Ledger, Version
from headrace.state.ledger.leases import LEASES, LIFETIME_SECONDS

WHO = "ada@lab"


def url_of(folder):
    return f"sqlite:///{folder}/headrace.db"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(url_of(tmp_path))


def a_version(number, model="digits", **changes):
    values = {
        "model": model,
        "version": number,
        "training": f"t{number}",
        "run_id": f"run{number}",
        "model_uri": f"models:/m-{number}",
        "model_digest": "d" * 64,
        "weights_digest": "w" * 64,
        "snapshot_digest": "s" * 64,
        "created_by": WHO,
    }
    return Version(**values | changes)


SERVED = GateResult(
    name="serving", passed=True, value=0.0, threshold=1e-5, kind="serving"
)
ROW = {
    "name": "accuracy",
    "metric": "test_accuracy",
    "direction": "min",
    "threshold": 0.88,
}


def some_evidence(number, *, passed=True, **changes):
    values = {
        "model": "digits",
        "version": number,
        "passed": passed,
        "gates": (
            GateResult(name="accuracy", passed=passed, value=0.9, threshold=0.88),
            SERVED,
        ),
        "law": {"applied": {"gates": [ROW]}},
        "metrics": {"test_accuracy": 0.9, "serving_difference": 0.0},
        "champion_version": None,
        "champion_sequence": 0,
        "snapshot_digest": "s" * 64,
        "run_id": f"run{number}",
    }
    return Evidence(**values | changes)


def fill(ledger, *numbers, others=()):
    """Register versions, each with passing evidence: numbered as they are, without a
    champion; then against each of the rest and of the others as champion."""
    for number in numbers:
        ledger.add_version(a_version(number))
        ledger.add_evidence(some_evidence(number))
    for number in numbers:
        for champion in {*numbers, *others} - {number}:
            ledger.add_evidence(some_evidence(number, champion_version=champion))


def promote(ledger, number, **changes):
    values = {"who": WHO, "why": ""}
    values["expected_sequence"] = ledger.sequence("digits")
    return ledger.promote("digits", number, **values | changes)[0]


def roll_back(ledger, **changes):
    values = {"who": WHO, "why": ""}
    values["expected_sequence"] = ledger.sequence("digits")
    return ledger.rollback("digits", **values | changes)


def champion(ledger):
    found = ledger.champion("digits")
    return found.version.version if found else None


def setting(url, field, value, where):
    """The statement that sets a field of the body of rows."""
    text = json.dumps(value)
    if url.startswith("sqlite"):
        body = f"json_set(body, '$.{field}', json('{text}'))"
    else:
        body = f"jsonb_set(body::jsonb, '{{{field}}}', '{text}')::json"
    return f"UPDATE ledger_chain SET body = {body} WHERE {where}"


def run(url, *statements):
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def assert_is_a_line(history):
    assert [entry.sequence for entry in history] == list(range(1, len(history) + 1))
    before = [None, *(entry.to_version for entry in history)]
    assert [entry.from_version for entry in history] == before[:-1]


def wanted(run, **changes):
    return Lease.wanted("blobs", run, "ada@lab").model_copy(update=changes)


def expire(url):
    """As if the holder had not renewed its lease in time."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        gone = LEASES.c.expires - LIFETIME_SECONDS - 1
        connection.execute(sa.update(LEASES).values(expires=gone))
    engine.dispose()
