"""What a look at a long ledger reads, and what it finds out."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.attacks.test_ledger import setting, without_triggers
from tests.signing import trust, write_keys
from tests.src.evidence.test_watch import work  # noqa: F401
from tests.src.state.ledger.conftest import a_version, fill, promote, some_evidence

from headrace.data.heads import check_ledger
from headrace.evidence import watch
from headrace.evidence.restoring import Restoring
from headrace.evidence.verification.mismatches import Mismatches
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Ledger, chain
from headrace.state.ledger.decisions import doubts
from headrace.state.ledger.seals import FILE
from headrace.state.ledger.verdicts import law_gates
from headrace.state.signing.keys import TrustedKeys

LONG = 20
NO_KEYS = TrustedKeys({})


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """A ledger is long with few rows."""
    monkeypatch.setattr(chain, "LONG", LONG)
    monkeypatch.setattr("headrace.state.ledger.seals._WRITTEN_AFTER", 1)


@pytest.fixture
def home(tmp_path):
    """A home whose ledger is long, with two models that have a champion each."""
    settings = Settings(home=tmp_path / "home")
    made = Home(settings.prepare_home())
    lengthen(made.ledger, LONG)
    fill(made.ledger, 1)
    promote(made.ledger, 1)
    made.ledger.add_version(a_version(1, "letters"))
    made.ledger.add_evidence(some_evidence(1, model="letters"))
    return made


def lengthen(ledger, rows):
    first = chain_length(ledger)
    keys = [f"stages/{first + number}.json" for number in range(rows)]
    ledger.anchor(dict.fromkeys(keys, "0" * 64))


def chain_length(ledger):
    return ledger.walk_chain().rows


def look(home, *models):
    return doubts(home.ledger, *models, seals=home.seals)


def edit(home, statement):
    without_triggers(home.settings.database_url, statement)


PASSED = setting("sqlite", "passed", False, "kind = 'evidence' AND model = 'digits'")
EDITS = [
    PASSED,
    "DELETE FROM events WHERE kind = 'entry'",
    "UPDATE events SET kind = 'fact', model = '' WHERE kind = 'entry'",
    "UPDATE events SET model = 'letters', step = 9 WHERE kind = 'entry'",
]


def test_a_short_ledger_has_no_seal(tmp_path):
    home = Home(Settings(home=tmp_path / "home").prepare_home())
    fill(home.ledger, 1)
    assert look(home, "digits") == []
    assert check_ledger(home, NO_KEYS).problem == ""
    assert not (home.settings.home / FILE).exists()


def test_a_look_reads_only_what_is_new_however_many_decisions_there_are(
    home,
    work,  # noqa: F811
):
    cost = []
    for versions in (range(2, 6), range(6, 120)):
        for number in versions:
            home.ledger.add_version(a_version(number, "letters"))
        look(home, "digits")
        home.ledger.add_version(a_version(1000 + len(cost), "letters"))
        before = work[0]
        assert look(home, "digits") == []
        cost.append(work[0] - before)
    assert cost[0] > 0, "else nothing was counted"
    assert cost[1] < 2 * cost[0]


@pytest.mark.parametrize("statement", EDITS)
def test_a_model_whose_rows_were_changed_is_found_out_by_a_look_at_it(home, statement):
    assert look(home, "digits") == []
    edit(home, statement)
    (found,) = look(home, "digits")
    assert found.startswith("The ledger is not as it was written: ")
    assert check_ledger(home, NO_KEYS, model="digits").problem
    assert check_ledger(home, NO_KEYS).problem


def test_a_changed_row_of_another_model_is_found_by_the_whole_walk(home):
    assert look(home, "digits") == []
    edit(home, PASSED)
    assert look(home, "letters") == []
    assert look(home, "digits", "letters") == []
    assert "was changed" in check_ledger(home, NO_KEYS).problem


@pytest.mark.parametrize(
    "check",
    [
        lambda home: check_ledger(home, NO_KEYS),
        lambda home: check_ledger(home, NO_KEYS, model="digits"),
        lambda home: home.seals.renewed(home.ledger, None)[0],
    ],
    ids=["verify", "verify of a model", "hourly walk"],
)
def test_who_finds_an_edited_row_lets_each_look_find_it(home, check):
    assert look(home, "digits", "letters") == []
    edit(home, PASSED)
    assert look(home, "letters") == []
    assert "was changed" in check(home).problem
    (found,) = look(home, "letters")
    assert "was changed" in found


def test_a_check_that_finds_that_the_ledger_was_cut_off_lets_the_next_find_it(home):
    assert look(home, "digits", "letters") == []
    edit(home, f"DELETE FROM events WHERE number = {chain_length(home.ledger)}")
    noted = home.ledger.link(3)[:-1] + "x"  # of another ledger, or mistyped
    for head, model in (("", "digits"), (noted, ""), ("", "digits")):
        assert "is gone" in check_ledger(home, NO_KEYS, head, model).problem
    (found,) = look(home, "letters")
    assert "is gone" in found


def test_a_repair_restores_what_was_edited_before_the_seal(home, monkeypatch):
    monkeypatch.setattr(watch, "champion_mismatches", lambda version, home: [])
    home.copy.keep()
    assert look(home, "digits") == []
    key = "stages/3.json"
    edit(home, setting("sqlite", "digest", "f", f"subject = '{key}'"))
    (done,) = Restoring(home).done
    assert key in done
    assert chain_length(home.ledger) > LONG
    assert home.ledger.walk_chain().problem == ""


def test_a_seal_that_cannot_be_dropped_does_not_stop_the_check(home, monkeypatch):
    assert look(home, "digits") == []
    edit(home, PASSED)

    def deny(*_, **__):
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", deny)
    assert "was changed" in check_ledger(home, NO_KEYS).problem


def test_a_seal_of_the_future_does_not_count(home, monkeypatch):
    assert look(home, "digits") == []
    earlier = time.time() - 60
    monkeypatch.setattr(time, "time", lambda: earlier)
    assert home.seals.read(home.ledger) is None
    assert look(home, "digits") == []
    assert home.seals.read(home.ledger) is not None, "it was made anew"


def test_a_past_that_was_written_anew_is_found_by_any_look(home):
    assert look(home, "digits") == []
    edit(home, "UPDATE events SET link = 'x' WHERE number = 20")
    seal = json.loads((home.settings.home / FILE).read_text())
    edit(home, f"UPDATE events SET link = 'x' WHERE number = {seal['rows']}")
    (found,) = look(home, "letters")
    assert "is gone: the chain was cut off or recomputed" in found
    assert check_ledger(home, NO_KEYS, model="letters").problem


def test_after_a_restored_backup_a_look_names_what_ends_the_warning(home, tmp_path):
    file, backup = home.settings.home / "headrace.db", tmp_path / "backup.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"VACUUM INTO '{backup}'")
    lengthen(home.ledger, 2)
    assert look(home, "digits") == []
    for end in ("-wal", "-shm"):
        Path(f"{file}{end}").unlink(missing_ok=True)
    backup.replace(file)
    restored = Home(home.settings)
    (found,) = look(restored, "digits")
    assert "if a backup was restored, run `headrace verify`" in found
    model = check_ledger(restored, NO_KEYS, model="digits")
    assert "if a backup was restored, run `headrace verify`" in model.problem
    assert check_ledger(restored, NO_KEYS).problem == ""
    assert look(restored, "digits") == []


def test_of_a_ledger_that_was_cut_off_a_check_reports_the_rows_that_are_left(home):
    assert look(home, "digits") == []
    rows, ledger = chain_length(home.ledger), home.ledger
    edit(home, f"DELETE FROM events WHERE number = {rows}")
    found = check_ledger(home, NO_KEYS, model="digits")
    assert "is gone: the chain was cut off or recomputed" in found.problem
    assert (found.chain.rows, found.chain.head) == (rows - 1, ledger.link(rows - 1))


def test_what_does_not_fit_in_a_decision_is_kept_with_the_seal(home):
    home.ledger.add_version(a_version(2))
    gates = [gate.model_copy(update={"value": 0.5}) for gate in some_evidence(2).gates]
    home.ledger.add_evidence(some_evidence(2, gates=tuple(gates)))
    first = look(home, "digits", "letters")
    assert "is recorded as passed with" in first[0]
    lengthen(home.ledger, 3)
    assert look(home, "digits", "letters") == first
    assert look(home, "letters") == []


def test_a_verification_computes_the_doubts_of_a_decision_once(home, monkeypatch):
    judged = []

    def judge(evidence):
        judged.append((evidence.model, evidence.version))
        return law_gates(evidence)

    monkeypatch.setattr("headrace.state.ledger.decisions.law_gates", judge)
    found = Mismatches(home, NO_KEYS).find(check_ledger(home, NO_KEYS), "")
    assert next(found).where == "model", "its decisions fit"
    assert sorted(judged) == [("digits", 1), ("letters", 1)]


def test_what_does_not_fit_in_a_decision_is_a_warning_of_verify(home):
    home.ledger.add_version(a_version(2))
    gates = [gate.model_copy(update={"value": 0.5}) for gate in some_evidence(2).gates]
    home.ledger.add_evidence(some_evidence(2, gates=tuple(gates)))
    told = {}
    for model in ("letters", "", "digits"):
        mismatches = Mismatches(home, NO_KEYS)
        next(mismatches.find(check_ledger(home, NO_KEYS, model=model), model), None)
        told[model] = mismatches.warnings
    doubts = look(home, "digits")
    assert told == {"letters": [], "": doubts, "digits": doubts}
    assert doubts


def test_the_seal_of_another_ledger_does_not_count(home, tmp_path):
    look(home, "digits")
    other = Ledger(f"sqlite:///{tmp_path}/other.db")
    lengthen(other, LONG)
    fill(other, 1)
    assert home.seals.read(home.ledger) is not None
    assert home.seals.read(other) is None
    assert doubts(other, "digits", seals=home.seals) == []


@pytest.mark.parametrize("text", ["", "{", '{"rows": 30}', "[" * 10**5])
def test_a_damaged_seal_does_not_count(home, text):
    look(home, "digits")
    (home.settings.home / FILE).write_text(text)
    edit(home, PASSED)
    (found,) = look(home, "letters")
    assert "was changed" in found


def test_with_a_key_only_a_seal_that_it_signed_counts(home, tmp_path, monkeypatch):
    private, public = write_keys(tmp_path / "keys")
    assert look(home, "digits") == []
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    signing = Home(Settings(home=home.settings.home))
    assert signing.seals.read(signing.ledger) is None, "nobody has signed it"
    lengthen(signing.ledger, 3)
    assert look(signing, "digits") == []
    file = signing.settings.home / FILE
    assert signing.seals.read(signing.ledger, trust(public)) is not None
    forged = json.loads(file.read_text())
    forged["models"].pop("digits")
    file.write_text(json.dumps(forged))
    assert signing.seals.read(signing.ledger) is None


def refuse(*_, **__):
    raise AssertionError("every row was read")


def test_where_no_seal_can_be_signed_a_look_reads_the_decisions(
    home, tmp_path, monkeypatch
):
    private, public = write_keys(tmp_path / "keys")
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    lengthen(Home(Settings(home=home.settings.home)).ledger, 3)
    monkeypatch.delenv("HEADRACE_SIGNING_KEY_FILE")
    monkeypatch.setenv("HEADRACE_VERIFY_KEY_FILE", str(public))
    reading = Home(Settings(home=home.settings.home))
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "walk_chain", refuse)
        assert look(reading, "digits") == look(reading, "digits", "letters") == []
    edit(reading, PASSED)
    (found,) = look(reading, "letters")
    assert "was changed" in found
    assert "was changed" in check_ledger(reading, trust(public)).problem


def test_in_a_home_that_cannot_be_written_a_look_reads_the_decisions(home, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: path != home.settings.home)
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "walk_chain", refuse)
        assert look(home, "digits") == []
    edit(home, PASSED)
    (found,) = look(home, "letters")
    assert "was changed" in found


def test_where_no_seal_can_be_kept_one_that_is_there_counts(home, monkeypatch):
    assert look(home, "digits") == []
    monkeypatch.setattr("os.access", lambda path, mode: path != home.settings.home)
    monkeypatch.setattr(Ledger, "glance", refuse)
    assert look(home, "digits") == []


def test_the_rows_of_a_model_must_be_signed_each(home, tmp_path, monkeypatch):
    private, public = write_keys(tmp_path / "keys")
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    signing = Home(Settings(home=home.settings.home))
    promote(signing.ledger, 1, forced=True, why="again")
    signing.ledger.add_version(a_version(2))
    lengthen(signing.ledger, 3)
    assert check_ledger(signing, trust(public)).problem == ""
    own = "(SELECT number FROM events WHERE model = 'digits' AND subject = '2')"
    without_triggers(
        signing.settings.database_url,
        f"UPDATE signatures SET signature = 'x' WHERE number = {own}",
    )
    found = check_ledger(signing, trust(public), model="digits")
    assert found.since is not None
    assert "is not of this row" in found.problem
    assert check_ledger(signing, trust(public), model="letters").problem == ""
    assert check_ledger(signing, trust(public)).problem


def test_of_the_copy_of_a_long_ledger_only_the_last_file_is_read(home):
    first = home.copy.keep()
    fill(home.ledger, 2)
    assert home.copy.keep() == 2
    report = home.ledger.walk_chain()
    (home.settings.home / "store" / "ledger" / f"{1:09}-{first:09}.json").unlink()
    lengthen(home.ledger, 2)
    assert list(home.copy.mismatches(checked=report)) == []
    assert home.copy.keep(report) == 2
    edit(home, "DELETE FROM events")
    lengthen(home.ledger, report.rows + 9)
    (found,) = home.copy.mismatches(checked=home.ledger.walk_chain())
    assert "does not go on from the copy" in found.message


def test_a_row_that_was_edited_after_it_was_checked_is_not_copied(home):
    copied = home.copy.keep()
    home.ledger.add_version(a_version(2))
    report = home.ledger.walk_chain()
    version = "kind = 'version' AND model = 'digits' AND subject = '2'"
    training = home.ledger.version("digits", 2).training
    edit(home, setting("sqlite", "training", "x", version))
    assert home.copy.keep(report) == 0
    edit(home, setting("sqlite", "training", training, version))
    home.ledger.add_version(a_version(3))
    assert home.copy.keep(report) == 2
    edit(home, f"DELETE FROM events WHERE number = {copied + 1}")
    home.copy.restore()
    assert home.ledger.version("digits", 2).training == training


def test_the_results_of_a_pipelines_stages_are_found_by_what_was_recorded_with_them(
    home,
):
    for number, pipeline in enumerate(("digits", "letters", "digits")):
        digest = str(number) * 64
        places = f"stages/{digest}.json", f"pipelines/{pipeline}/train.json"
        home.ledger.anchor(dict.fromkeys(places, digest))
        home.ledger.anchor({f"pipelines/{pipeline}/train-begun.json": digest})
    found = home.ledger.anchored_stages("digits")
    assert found == {f"stages/{one * 64}.json": one * 64 for one in "02"}
    below = home.ledger.anchors_below(["pipelines/letters/", "stages/1"])
    assert below.keys() >= {"pipelines/letters/train.json", f"stages/{'1' * 64}.json"}
    assert "pipelines/digits/train.json" not in below
