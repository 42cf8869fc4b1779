"""The copy of the ledger's rows: complete also after two processes have copied."""

import pytest
from tests.attacks.test_ledger import setting, without_triggers
from tests.src.state.ledger.conftest import a_version, fill, url_of

from headrace.errors import IntegrityError
from headrace.state.ledger.copies import LedgerCopy
from headrace.state.store import Store

EDIT = setting("sqlite", "run_id", "x", "kind = 'version'")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def copy_of(tmp_path, store):
    return LedgerCopy(url_of(tmp_path), store)


def test_rows_that_two_processes_have_copied_count_once(
    ledger, tmp_path, store, monkeypatch
):
    fill(ledger, 1)
    with monkeypatch.context() as patch:
        patch.setattr(LedgerCopy, "_copied", [])  # both begin at once
        copied = copy_of(tmp_path, store).keep()
        ledger.add_version(a_version(2))
        assert copy_of(tmp_path, store).keep() == copied + 1
    ledger.add_version(a_version(3))
    assert copy_of(tmp_path, store).keep() == 1
    assert len(store.names("ledger")) == 3
    without_triggers(url_of(tmp_path), EDIT)
    assert len(list(copy_of(tmp_path, store).mismatches("it was changed"))) == 3
    copy_of(tmp_path, store).restore()
    assert ledger.walk_chain().problem == ""
    assert [row.run_id for row in ledger.versions("digits")] == ["run1", "run2", "run3"]


def test_what_follows_a_damaged_file_is_copied_anew(ledger, tmp_path, store):
    fill(ledger, 1)
    copy_of(tmp_path, store).keep()
    ledger.add_version(a_version(2))
    copy_of(tmp_path, store).keep()
    first, _ = store.names("ledger")
    store.write(f"ledger/{first}", b"[")
    rows = copy_of(tmp_path, store).keep()
    assert rows == ledger.walk_chain().rows
    without_triggers(url_of(tmp_path), EDIT)
    copy_of(tmp_path, store).restore()
    assert [row.run_id for row in ledger.versions("digits")] == ["run1", "run2"]


EXCHANGES = [
    (
        "UPDATE events SET step = -step WHERE kind = 'evidence' AND step < 3",
        "UPDATE events SET step = 3 + step WHERE kind = 'evidence' AND step < 0",
    ),
    (
        "UPDATE events SET body = json_set(body, '$.training', subject) "
        "WHERE kind = 'version'",
        "UPDATE events SET body = json_set(body, '$.training', 't' || (3 - subject)) "
        "WHERE kind = 'version'",
    ),
]


@pytest.mark.parametrize("statements", EXCHANGES)
def test_rows_that_were_exchanged_are_put_back(ledger, tmp_path, store, statements):
    fill(ledger, 1, 2)
    copy_of(tmp_path, store).keep()
    before = ledger.evidence_of("digits"), ledger.versions("digits")
    without_triggers(url_of(tmp_path), *statements)
    assert (ledger.evidence_of("digits"), ledger.versions("digits")) != before
    copy_of(tmp_path, store).restore()
    assert ledger.walk_chain().problem == ""
    assert (ledger.evidence_of("digits"), ledger.versions("digits")) == before


def test_a_row_whose_place_another_one_has_is_named(ledger, tmp_path, store):
    fill(ledger, 1, 2)
    copy_of(tmp_path, store).keep()
    moved = "UPDATE events SET number = 99 WHERE kind = 'evidence' AND step = 1"
    without_triggers(url_of(tmp_path), moved)
    with pytest.raises(IntegrityError, match=r"evidence digits/1.*was removed"):
        copy_of(tmp_path, store).restore()


@pytest.mark.parametrize(
    ("kind", "subject", "body"),
    [
        ("version", "x", "{}"),
        ("version", "1" * 5000, "{}"),
        ("evidence", "", '{"version": "x"}'),
    ],
)
def test_a_planted_row_of_another_form_is_found_and_taken_away(
    ledger, tmp_path, store, kind, subject, body
):
    fill(ledger, 1)
    copy_of(tmp_path, store).keep()
    values = f"9, '{kind}', 'digits', '{subject}', 9, '{body}', '', ''"
    names = "number, kind, model, subject, step, body, digest, link"
    plant = f"INSERT INTO events ({names}) VALUES ({values})"
    without_triggers(url_of(tmp_path), plant)
    copy = copy_of(tmp_path, store)
    (found,) = copy.mismatches(ledger.walk_chain().problem)
    assert (found.model, found.version) == ("digits", None)
    copy.restore()
    assert ledger.walk_chain().problem == ""


@pytest.mark.parametrize("column", ["kind", "model", "subject", "step", "link", "body"])
@pytest.mark.parametrize("value", ["x'ff'", "'x'", "'[" + "[" * 100_000 + "'"])
def test_a_row_with_values_of_another_kind_is_found_and_put_back(
    ledger, tmp_path, store, column, value
):
    fill(ledger, 1, 2)
    copy_of(tmp_path, store).keep()
    before = ledger.walk_chain()
    edit = f"UPDATE events SET {column} = {value} WHERE number = 4"
    without_triggers(url_of(tmp_path), edit)
    problem = ledger.walk_chain().problem
    assert ledger.glance()
    assert list(copy_of(tmp_path, store).mismatches(problem))
    copy_of(tmp_path, store).restore()
    assert ledger.walk_chain() == before
