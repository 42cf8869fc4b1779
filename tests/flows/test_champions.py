"""A running watch sees what is changed behind its back; a repair puts it back."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from headrace.state.ledger.copies import LedgerCopy, keep_rows
from tests.homes import Home, execute, rows_of
from tests.src.state.ledger.conftest import setting
from tests.waiting import until

from headrace.errors import IntegrityError
from headrace.evidence import watch as watching
from headrace.evidence.repair import repair
from headrace.evidence.watch import Watch
from headrace.state.home import Home as Opened
from headrace.state.ledger import Ledger
from headrace.state.store import Store
from headrace.state.tracking import MODEL_FILE, Tracking
from headrace_flows.champions import ChampionWatch, watching_champions

Trained = Any
MLFLOW = (
    "SELECT * FROM model_versions",
    "SELECT * FROM model_version_tags ORDER BY key",
    "SELECT * FROM registered_model_aliases ORDER BY alias",
    "SELECT * FROM runs ORDER BY run_uuid",
    "SELECT * FROM params ORDER BY run_uuid, key",
    "SELECT * FROM metrics ORDER BY run_uuid, key, timestamp, step, value",
    "SELECT * FROM latest_metrics ORDER BY run_uuid, key",
    "SELECT * FROM tags ORDER BY run_uuid, key",
    "SELECT * FROM inputs ORDER BY input_uuid",
    "SELECT * FROM logged_models ORDER BY model_id",
)


@pytest.fixture
def watched(trained, monkeypatch):
    """A home whose watch runs, every 0.2 seconds, and has looked once."""
    monkeypatch.setattr(watching, "CONFIRM_SECONDS", 0.1)
    settings = trained.settings.model_copy(update={"watch_seconds": 0.2})
    Tracking(settings)  # the home was moved: MLflow's paths follow
    with watching_champions(settings):
        until(lambda: quiet(settings))
        yield trained


def quiet(settings):
    """Whether the ledger and its copy are complete."""
    names = Store(settings.store).names("ledger")
    last = max((int(n[10:19]) for n in names), default=0)
    database = settings.home / "headrace.db"
    return bool(last) and rows_of(database, "SELECT max(number) FROM events") == [
        (last,)
    ]


def found(settings, what):
    """The actions that the ledger has for what was changed."""
    steps = Ledger(settings.database_url).tamperings("blobs")
    return [step.action for step in steps if step.what.startswith(what)]


def mlflow_rows(settings):
    return [rows_of(settings.home / "mlflow.db", query) for query in MLFLOW]


def move_alias(trained):
    Tracking(trained.settings).client.delete_registered_model_alias("blobs", "champion")
    return "alias champion"


def delete_version(trained):
    Tracking(trained.settings).client.delete_model_version("blobs", "1")
    return "version 1"


def delete_run(trained):
    Tracking(trained.settings).client.delete_run(trained.weak.run_id)
    return f"run {trained.weak.run_id}"


def delete_run_for_good(trained):
    run = trained.weak.run_id
    tables = ("metrics", "latest_metrics", "params", "tags", "runs")
    execute(
        trained.settings.home / "mlflow.db",
        *(f"DELETE FROM {table} WHERE run_uuid = '{run}'" for table in tables),
    )
    return f"run {run}"


def change_metric(trained):
    run = trained.weak.run_id
    execute(
        trained.settings.home / "mlflow.db",
        f"UPDATE metrics SET value = 0.99 WHERE run_uuid = '{run}' "
        "AND key = 'val_accuracy'",
        f"UPDATE latest_metrics SET value = 0.99 WHERE run_uuid = '{run}' "
        "AND key = 'val_accuracy'",
    )
    return f"run {run}"


def delete_evidence(trained):
    [file] = run_folder(trained).glob("evaluation/report.json")
    file.unlink()
    return "file evaluation/report.json"


def change_evidence(trained):
    [file] = run_folder(trained).glob("evaluation/report.json")
    file.write_bytes(file.read_bytes().replace(b"0", b"1"))
    return "file evaluation/report.json"


def delete_data(trained):
    [file] = Path(trained.settings.store).glob("snapshots/*/items/0000.parquet")
    file.unlink()
    return "snapshot"


def edit_ledger(trained):
    execute(
        trained.settings.home / "headrace.db",
        "DROP TRIGGER events_no_update",
        setting("sqlite", "why", "it was the best", "kind = 'entry'"),
    )
    number = "SELECT min(number) FROM events WHERE kind = 'entry'"
    [(entry,)] = rows_of(trained.settings.home / "headrace.db", number)
    return f"row {entry} (entry blobs/1)"


def run_folder(trained):
    home, run = trained.settings.home, trained.weak.run_id
    return Path(home / "mlartifacts" / "blobs" / run / "artifacts")


def files_of(trained):
    """Every file of the artifacts, and of the snapshots."""
    home, store = trained.settings.home, Path(trained.settings.store)
    roots = [home / "mlartifacts", store / "snapshots"]
    paths = [path for root in roots for path in root.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in paths}


def ledger_rows(settings):
    kinds = ("version", "evidence", "entry", "anchor")
    database, query = settings.home / "headrace.db", "SELECT * FROM events"
    return [rows_of(database, f"{query} WHERE kind = '{kind}'") for kind in kinds]


ATTACKS = [
    move_alias,
    delete_version,
    delete_run,
    delete_run_for_good,
    change_metric,
    delete_evidence,
    change_evidence,
    delete_data,
    edit_ledger,
]


@pytest.fixture
def ready(trained, monkeypatch):
    """A home that a watch has looked at before."""
    monkeypatch.setattr(watching, "CONFIRM_SECONDS", 0.0)
    Tracking(trained.settings)
    assert Watch(trained.settings).look() == []
    return trained


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_is_seen_once(ready, attack):
    """Also by several watches of one ledger."""
    first, second = Watch(ready.settings), Watch(ready.settings)
    assert first.look() == second.look() == []
    what = attack(ready)
    assert not first.is_quiet()
    reported = [*first.look(), *second.look(), *first.look()]
    assert len([step for step in reported if step.what.startswith(what)]) == 1
    assert len({step.subject for step in reported}) == len(reported)
    assert found(ready.settings, what) == ["tampered"]


def test_a_running_watch_sees_it_and_one_repair_puts_all_back(watched):
    settings = watched.settings
    before = mlflow_rows(settings), files_of(watched), ledger_rows(settings)
    attacks = move_alias, delete_run_for_good, change_evidence, delete_data
    for attack in attacks:
        what = attack(watched)
        until(lambda what=what: found(settings, what) == ["tampered"])
    what = edit_ledger(watched)
    until(lambda: found(settings, what) == ["tampered"])
    done = repair("blobs", settings)
    assert (done.status, done.is_sound) == ("restored", True), done.reason
    for subject in ("alias champion", "run ", "file ", "snapshot", "row "):
        actions = found(settings, subject)
        assert actions[0] == "tampered"
        assert "restored" in actions
    assert mlflow_rows(settings) == before[0]
    assert files_of(watched) == before[1]
    assert ledger_rows(settings)[:3] == before[2][:3]
    assert Ledger(settings.database_url).walk_chain().problem == ""


def test_a_version_that_was_deleted_in_mlflow_comes_back(ready):
    settings = ready.settings
    [before] = rows_of(settings.home / "mlflow.db", "SELECT * FROM model_versions")
    delete_version(ready)
    assert repair("blobs", settings).is_sound
    [after] = rows_of(settings.home / "mlflow.db", "SELECT * FROM model_versions")
    assert after == before
    client = Tracking(settings).client
    assert client.get_registered_model("blobs").aliases == {"champion": 1}


def test_a_quiet_check_reads_nothing(ready, monkeypatch):
    watch = ChampionWatch(ready.settings)
    for _ in range(3):
        watch.look()

    def refuse(*_):
        raise AssertionError("the ledger was opened")

    monkeypatch.setattr(watching, "Home", refuse)
    assert watch.look() == []
    move_alias(ready)
    with pytest.raises(AssertionError, match="was opened"):
        watch.look()


def test_a_watch_goes_on_after_an_error_that_nobody_foresaw(
    settings, monkeypatch, caplog
):
    looks = []

    def look(_):
        looks.append(1)
        raise KeyError("digits")

    monkeypatch.setattr(ChampionWatch, "look", look)
    with watching_champions(settings.model_copy(update={"watch_seconds": 0.01})):
        until(lambda: len(looks) > 2)
    assert "the champions could not be checked: KeyError('digits')" in caplog.messages


def test_a_file_that_was_restored_is_settled(ready):
    watch = ChampionWatch(ready.settings)
    [model] = [
        file
        for file in ready.settings.home.glob(f"mlartifacts/**/{MODEL_FILE}")
        if ready.weak.model_uri.rpartition("/")[2] in str(file)
    ]
    model.write_bytes(b"another model")
    assert [done.status for done in watch.look()] == ["restored"]
    assert watch.look() == []
    assert found(ready.settings, "file model") == ["tampered", "settled"]


def test_the_history_has_it(ready):
    move_alias(ready)
    Watch(ready.settings).look()
    home = Home(ready.settings.home, ready.settings.project)
    [row] = home.headrace("history", "blobs", "--json").json["tamperings"]
    assert (row["what"], row["action"]) == ("alias champion", "tampered")
    assert "is on no version, and the ledger has version 1." in row["why"]
    assert "A promotion or rollback that was killed leaves it so, too" in row["why"]
    assert "alias champion: MLflow's alias" in home.headrace("history", "blobs").out


def test_a_chain_that_was_written_anew_is_not_restored(ready):
    """Its rows and links fit each other, but not the copy in the store."""
    settings = ready.settings
    database = settings.home / "headrace.db"
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    execute(
        database,
        *(f"DROP TRIGGER {name}" for (name,) in rows_of(database, triggers)),
        "DELETE FROM events WHERE number = (SELECT max(number) FROM events)",
    )
    with pytest.raises(IntegrityError, match="one of them was written anew"):
        LedgerCopy(settings.database_url, Store(settings.store)).restore()


def test_a_row_that_was_never_added_is_removed(ready):
    settings = ready.settings
    database = settings.home / "headrace.db"
    before = ledger_rows(settings)
    execute(
        database,
        "INSERT INTO events SELECT (SELECT max(number) + 1 FROM events), kind, model, "
        "subject, 2, rests_on, body, digest, link FROM events WHERE kind = 'entry'",
    )
    assert ledger_rows(settings) != before
    [edit] = LedgerCopy(settings.database_url, Store(settings.store)).restore()
    assert edit.problem == "does not belong to the chain"
    assert ledger_rows(settings) == before
    assert Ledger(settings.database_url).walk_chain().problem == ""


def test_a_copy_that_was_changed_restores_nothing(ready):
    settings = ready.settings
    for copy in Path(settings.store, "ledger").glob("*.json"):
        copy.write_text(copy.read_text().replace("ada@lab", "eve@lab"))
    edit_ledger(ready)
    assert LedgerCopy(settings.database_url, Store(settings.store)).restore() == []
    assert "was changed" in Ledger(settings.database_url).walk_chain().problem
    with pytest.raises(IntegrityError, match="Restore it from a backup"):
        repair("blobs", settings)


def test_only_new_rows_are_copied(ready):
    settings = ready.settings
    keep_rows(Opened(settings).copy)
    before = Store(settings.store).names("ledger")
    keep_rows(Opened(settings).copy)
    assert Store(settings.store).names("ledger") == before
    Ledger(settings.database_url).anchor({"stages/a.json": "0" * 64})
    keep_rows(Opened(settings).copy)
    assert len(Store(settings.store).names("ledger")) == len(before) + 1


def test_a_ledger_from_an_older_backup_is_seen(ready):
    """It is sound in itself, and ends before the copy does."""
    settings = ready.settings
    ledger = settings.home / "headrace.db"
    with closing(sqlite3.connect(ledger)) as connection:
        backup = sqlite3.connect(settings.home / "backup.db")
        connection.backup(backup)
        backup.close()
    Ledger(settings.database_url).anchor({"stages/a.json": "0" * 64})
    keep_rows(Opened(settings).copy)
    for name in ("headrace.db-wal", "headrace.db-shm"):
        (settings.home / name).unlink(missing_ok=True)
    (settings.home / "backup.db").replace(ledger)
    [step] = Watch(settings).look()
    assert (step.model, step.what) == ("", "copy of the ledger")
    assert "one of them was written anew" in step.why
