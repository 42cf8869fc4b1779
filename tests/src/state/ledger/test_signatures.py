"""Signatures of the ledger's rows: what they find out, and who may add rows."""

import os

import pytest
import sqlalchemy as sa
from tests.attacks.test_ledger import setting, without_triggers
from tests.signing import trust, write_keys
from tests.src.state.ledger.conftest import a_version, fill, promote, url_of

from headrace.data.heads import check_ledger, remember_head
from headrace.errors import IntegrityError, UsageError
from headrace.settings import Settings
from headrace.state.copying import copy_ledger
from headrace.state.home import Home
from headrace.state.ledger import Approval, Ledger, events
from headrace.state.ledger.copies import LedgerCopy
from headrace.state.ledger.events import EVENTS
from headrace.state.signing.keys import TrustedKeys
from headrace.state.store import Store

KEY = "HEADRACE_SIGNING_KEY_FILE"


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """The store that is asked before a first signature is not the checkout's."""
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))


@pytest.fixture
def public(tmp_path, monkeypatch):
    """The public key of the key that signs from now on."""
    private, public = write_keys(tmp_path / "keys")
    monkeypatch.setenv(KEY, str(private))
    return public


@pytest.fixture
def trusted(public):
    return trust(public)


@pytest.fixture
def signed(ledger, trusted):
    """A ledger with signed rows."""
    fill(ledger, 1, 2)
    promote(ledger, 1)
    return ledger


def test_each_row_is_signed(signed, trusted):
    report = signed.check_signatures(trusted)
    assert (report.first, report.links) == (1, signed.walk_chain().rows)
    assert report.problem == ""


def test_rows_before_the_first_key_are_covered(ledger, tmp_path, monkeypatch):
    fill(ledger, 1)
    before = ledger.walk_chain().rows
    private, public = write_keys(tmp_path)
    assert "no row is signed" in ledger.check_signatures(trust(public)).problem
    monkeypatch.setenv(KEY, str(private))
    ledger.add_version(a_version(2))
    report = ledger.check_signatures(trust(public))
    assert (report.first, report.links, report.problem) == (before + 1, 1, "")


def test_without_a_key_nobody_adds_a_row_to_a_signed_ledger(
    signed, tmp_path, monkeypatch
):
    rows = signed.walk_chain().rows
    monkeypatch.delenv(KEY)
    with pytest.raises(UsageError, match=r"is signed, and no signing key is set here"):
        Ledger(url_of(tmp_path)).anchor({"stages/a.json": "a" * 64})
    assert signed.walk_chain().rows == rows
    report = signed.check_signatures(TrustedKeys({}))
    assert (report.links, report.problem) == (rows, "")


def test_only_a_key_that_trusts_the_last_one_adds_a_row(
    signed, public, tmp_path, monkeypatch
):
    rows = signed.walk_chain().rows
    own, _ = write_keys(tmp_path / "others")
    monkeypatch.setenv(KEY, str(own))
    with pytest.raises(
        UsageError, match=r"is signed by the key .*, which does not count"
    ):
        Ledger(url_of(tmp_path)).anchor({"stages/a.json": "a" * 64})
    assert signed.walk_chain().rows == rows
    monkeypatch.setenv("HEADRACE_VERIFY_KEY_FILE", str(public))
    Ledger(url_of(tmp_path)).anchor({"stages/a.json": "a" * 64})
    assert signed.walk_chain().rows == rows + 1


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "DELETE FROM signatures WHERE number = (SELECT max(number) FROM events)",
            "the row 7 (entry digits/1) has no signature",
        ),
        (
            "UPDATE signatures SET (key, signature, link) = (SELECT key, signature, "
            "link FROM signatures WHERE number = 2) WHERE number = 5",
            "(evidence digits/3) has the signature of row 2, put in its place",
        ),
        (
            "UPDATE signatures SET signature = (SELECT signature FROM signatures "
            "WHERE number = 2) WHERE number = 5",
            "(evidence digits/3) has the signature of row 2, put in its place",
        ),
        (
            "UPDATE signatures SET signature = 'MEUC' WHERE number = 3",
            "of the row 3 (version digits/2/1) is not of this row",
        ),
        (
            f"UPDATE signatures SET key = '{'e' * 64}' WHERE number = 4",
            "the row 4 (evidence digits/2) is signed by another key, eeeeeeeeeeee...",
        ),
        ("DELETE FROM signatures", "no row is signed"),
    ],
)
def test_who_tampers_with_signatures_is_found_out(
    signed, tmp_path, trusted, statement, problem
):
    without_triggers(url_of(tmp_path), statement)
    assert signed.walk_chain().problem == ""
    assert problem in signed.check_signatures(trusted).problem


def test_a_ledger_that_another_key_has_signed_anew_is_found_out(
    trusted, tmp_path, monkeypatch
):
    """Its chain is whole, and so are its signatures: those of another key."""
    private, public = write_keys(tmp_path / "other")
    monkeypatch.setenv(KEY, str(private))
    forged = Ledger(url_of(tmp_path))
    fill(forged, 1)
    assert forged.check_signatures(trust(public)).problem == ""
    assert "is signed by another key" in forged.check_signatures(trusted).problem
    both = trust(public, tmp_path / "keys" / "key.pub")
    assert forged.check_signatures(both).problem == ""


def test_a_row_that_somebody_adds_without_the_key_is_found_out(
    signed, tmp_path, trusted, monkeypatch
):
    """The chain is computed as by us: the copy is made without the signatures."""
    from headrace.state.ledger import journal

    monkeypatch.setattr(journal, "key_for", lambda *_: None)
    promote(signed, 2)
    monkeypatch.undo()
    assert signed.walk_chain().problem == ""
    problem = signed.check_signatures(trusted).problem
    assert "the row 8 (entry digits/2)" in problem
    assert "somebody without a key has added it" in problem


def test_an_older_ledger_is_found_out_by_the_store(signed, tmp_path, trusted):
    settings = Settings(
        home=tmp_path, store=str(tmp_path / "s"), database_url=url_of(tmp_path)
    )
    assert check_ledger(Home(settings), trusted).problem == ""
    remember_head(Home(settings))
    assert check_ledger(Home(settings), trusted).problem == ""
    signed.anchor({"stages/a.json": "a" * 64})
    assert check_ledger(Home(settings), trusted).problem == ""
    last = "(SELECT max(number) FROM events)"
    without_triggers(
        url_of(tmp_path),
        f"DELETE FROM signatures WHERE number >= {last} - 1",
        f"DELETE FROM events WHERE number >= {last} - 1",
    )
    assert signed.walk_chain().problem == ""
    assert signed.check_signatures(trusted).problem == ""
    problem = check_ledger(Home(settings), trusted).problem
    assert "an older ledger was put in its place" in problem
    signed.anchor({"stages/b.json": "b" * 64})
    remember_head(Home(settings))  # the later link stays
    assert check_ledger(Home(settings), trusted).problem == problem
    file = tmp_path / "s" / "heads" / "ledger.json"
    file.write_text(file.read_text().replace('"number": 7', '"number": 9'))
    assert "was changed" in check_ledger(Home(settings), trusted).problem


def test_rows_that_were_cut_off_are_missed_by_their_signatures(
    signed, tmp_path, trusted
):
    without_triggers(url_of(tmp_path), "DELETE FROM events WHERE kind = 'entry'")
    problem = signed.check_signatures(trusted).problem
    assert problem == (
        "row 7 was signed, and the chain ends at row 6: its last rows were removed"
    )


def test_a_copy_has_the_signatures(signed, tmp_path, trusted):
    (tmp_path / "copy").mkdir()
    copy_ledger(url_of(tmp_path), url_of(tmp_path / "copy"))
    copied = Ledger(url_of(tmp_path / "copy"))
    copied.anchor({"stages/a.json": "a" * 64})
    report = copied.check_signatures(trusted)
    assert (report.links, report.problem) == (8, "")


def test_without_a_key_a_request_that_has_expired_is_read_all_the_same(
    signed, tmp_path, monkeypatch
):
    """Reading records the rejection, where rows can be added."""
    signed.add_approval(
        Approval(
            model="digits",
            version=2,
            step=1,
            action="request",
            who="ada@lab",
            expires="2020-01-01T00:00:00.000+00:00",
        )
    )
    rows = signed.walk_chain().rows
    monkeypatch.delenv(KEY)
    last = Ledger(url_of(tmp_path)).approval("digits", 2)
    assert last is not None
    assert last.action == "reject"
    assert signed.walk_chain().rows == rows


def test_signatures_of_either_database_are_never_changed(url, trusted):
    made = Ledger(url)
    fill(made, 1, 2)
    promote(made, 1)
    assert made.check_signatures(trusted).links == made.walk_chain().rows
    assert made.check_signatures(trusted).problem == ""
    engine = sa.create_engine(url)
    for statement in ("DELETE FROM signatures", "UPDATE signatures SET key = ''"):
        with (
            pytest.raises(sa.exc.DBAPIError, match="never changed or removed"),
            engine.begin() as connection,
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()


def strip(folder):
    """Take all signatures away, rewrite who promoted, and chain all rows anew."""
    url = url_of(folder)
    own = "kind = 'entry'"
    without_triggers(url, setting(url, "who", "eve", own), setting(url, "why", "", own))
    engine, statements, before = sa.create_engine(url), list[str](), ""
    with engine.begin() as connection:
        query = sa.select(EVENTS).order_by(EVENTS.c.number)
        for number, row in enumerate(connection.execute(query).mappings(), start=1):
            digest = events.digest_of(row)
            before = events.link_of(before, {"number": number, "digest": digest})
            statements.append(
                f"UPDATE events SET number = {number}, digest = '{digest}', "
                f"link = '{before}' WHERE number = {row['number']}"
            )
    without_triggers(url, *statements)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE signatures")
    engine.dispose()
    return Ledger(url_of(folder))


@pytest.mark.parametrize(
    "left",
    ["heads/ledger.json", "signatures/m.sig", "signatures/bundle-1-k.sig", "anchor"],
)
def test_a_ledger_whose_signatures_were_taken_away_gets_no_first_one(
    signed, tmp_path, monkeypatch, left
):
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "s"))
    if left == "anchor":
        signed.anchor({"signatures/m.sig": "a" * 64})
        left = "signatures/m.sig"
    else:
        file = tmp_path / "s" / left
        file.parent.mkdir(parents=True)
        file.touch()
    stripped = strip(tmp_path)
    rows = stripped.walk_chain()
    assert rows.problem == ""
    with pytest.raises(IntegrityError, match=rf"{left} shows that it was signed"):
        promote(stripped, 2)
    assert stripped.walk_chain() == rows
    assert stripped.check_signatures(TrustedKeys({})).links == 0
    assert stripped.glance() == "no row is signed"


def test_a_copy_of_the_rows_shows_that_a_ledger_was_signed(
    signed, tmp_path, monkeypatch
):
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "s"))
    signed.anchor({"signatures/m.sig": "a" * 64})
    LedgerCopy(url_of(tmp_path), Store(str(tmp_path / "s"))).keep()
    without_triggers(url_of(tmp_path), "DELETE FROM events WHERE kind = 'anchor'")
    stripped = strip(tmp_path)
    rows = stripped.walk_chain()
    assert rows.problem == ""
    found = r"000000001-0.*\.json, a copy of its rows, has another row \d+:"
    with pytest.raises(IntegrityError, match=found):
        promote(stripped, 2)
    assert stripped.walk_chain() == rows
    assert stripped.glance() == "no row is signed"


@pytest.mark.parametrize("damaged", [b"[{", b"{}", b"[]", b'[{"number": 1}]', None])
def test_a_copy_that_cannot_be_read_allows_no_first_signature(
    signed, tmp_path, monkeypatch, damaged
):
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "s"))
    store = Store(str(tmp_path / "s"))
    copy = LedgerCopy(url_of(tmp_path), store)
    copy.keep()
    assert not list(copy.mismatches())
    (name,) = store.names("ledger")
    (tmp_path / "s" / "ledger" / name).unlink()
    if damaged is None:
        os.mkfifo(tmp_path / "s" / "ledger" / name)
    else:
        store.write(f"ledger/{name}", damaged)
    (tmp_path / "s" / "ledger" / ".half-written").touch()
    stripped = strip(tmp_path)
    with pytest.raises(IntegrityError, match=rf"{name}.* cannot be read .* list"):
        promote(stripped, 2)
    assert stripped.glance() == "no row is signed"
    [unread] = copy.mismatches()
    assert f"{name}, a copy of the ledger's rows, cannot be read" in unread.message
    (tmp_path / "s" / "ledger" / name).unlink()
    LedgerCopy(url_of(tmp_path), store).keep()
    promote(stripped, 2)


def test_a_copy_that_names_a_signature_shows_that_its_ledger_was_signed(
    signed, tmp_path, monkeypatch
):
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "s"))
    signed.anchor({"signatures/m.sig": "a" * 64})
    LedgerCopy(url_of(tmp_path), Store(str(tmp_path / "s"))).keep()
    without_triggers(url_of(tmp_path), "DELETE FROM events WHERE kind = 'anchor'")
    engine = sa.create_engine(url_of(tmp_path))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE signatures")
    engine.dispose()
    with pytest.raises(IntegrityError, match=r"it names signatures/m\.sig"):
        promote(Ledger(url_of(tmp_path)), 2)


def test_the_first_signature_of_a_home_needs_nothing(ledger, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "s"))
    fill(ledger, 1)
    LedgerCopy(url_of(tmp_path), Store(str(tmp_path / "s"))).keep()
    private, public = write_keys(tmp_path / "keys")
    monkeypatch.setenv(KEY, str(private))
    fill(ledger, 2)
    assert ledger.check_signatures(trust(public)).problem == ""


@pytest.mark.parametrize("kept", ["a forged one", "an old one"])
def test_a_signature_that_does_not_cover_the_last_row_allows_no_other(
    signed, tmp_path, public, kept
):
    engine = sa.create_engine(url_of(tmp_path))
    with engine.connect() as connection:
        rows = list(connection.exec_driver_sql("SELECT * FROM signatures").mappings())
    stripped = strip(tmp_path)
    first, last = dict(rows[0]), dict(rows[-1])
    head = stripped.walk_chain().head
    row = first if kept == "an old one" else {**last, "link": head, "signature": "AA=="}
    with engine.begin() as connection:
        events.SIGNED.create_all(connection)
        connection.execute(sa.insert(events.SIGNATURES), [row])
    engine.dispose()
    before = stripped.walk_chain()
    assert Ledger(url_of(tmp_path)).glance() == "its last row is not signed"
    with pytest.raises(IntegrityError, match="is not signed by a key that counts"):
        promote(Ledger(url_of(tmp_path)), 2)
    assert Ledger(url_of(tmp_path)).walk_chain() == before


def test_a_ledger_is_held_against_the_store_of_its_own_home(tmp_path, monkeypatch):
    here = Home(Settings().prepare_home())
    fill(here.ledger, 1)
    assert here.copy.keep()
    private, public = write_keys(tmp_path / "keys")
    monkeypatch.setenv(KEY, str(private))
    other = Home(Settings(home=tmp_path / "other").prepare_home())
    fill(other.ledger, 1, 2)
    assert other.ledger.check_signatures(trust(public)).problem == ""
