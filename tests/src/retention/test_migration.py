"""`headrace.retention.migration`: a home in other places, whole or not at all."""

import socket
import sqlite3
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.errors import DependencyError, IntegrityError, UsageError
from headrace.evidence.verification import verify
from headrace.retention.migration import Destination, migrate
from headrace.settings import Settings
from headrace.stages.promotion import conclude
from headrace.stages.registration import register
from headrace.state.home import Home
from headrace.state.ledger import Lease, Ledger
from headrace.state.ledger.leases import Leases
from headrace.state.tracking import Tracking

pytestmark = pytest.mark.system

Trained = Any


def settings_at(trained, home):
    return Settings(project=trained.settings.project, home=home, user="ada@lab")


def promote_good(trained):
    evaluation, settings = trained.good_evaluation, trained.settings
    registered = register(
        trained.spec,
        trained.folder,
        trained.snapshot,
        trained.good,
        evaluation,
        Home(settings),
    )
    conclude(trained.spec, evaluation, registered, Home(settings))


@pytest.fixture
def databases(postgres):
    """Two empty databases of a PostgreSQL."""
    suffix = uuid.uuid4().hex  # MLflow remembers which databases have its tables
    names = (f"ledger_{suffix}", f"mlflow_{suffix}")
    server = sa.create_engine(
        postgres, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with server.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = sa.make_url(postgres)
    ledger, mlflow = (
        url.set(database=name).render_as_string(hide_password=False) for name in names
    )
    return Destination(database_url=ledger, tracking_uri=mlflow)


@pytest.mark.parametrize("name", ["home", "a höme #1; +2"])
def test_a_home_goes_to_another_folder(trained, tmp_path, name):
    before = verify(trained.settings)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(trained.settings.home / "prefork.sock"))  # of an `up`
    place = tmp_path / "elsewhere" / name
    migration = migrate(trained.settings, Destination(home=place))
    assert migration.status == "migrated"
    assert {part.name for part in migration.parts} == {
        *("home", "store", "artifacts", "ledger", "mlflow")
    }
    assert migration.environment == {"HEADRACE_HOME": str(place)}
    assert [path.name for path in place.parent.iterdir()] == [name]
    after = verify(settings_at(trained, place))
    assert (after.status, after.chain, after.checked) == (
        *("ok", before.chain, before.checked),
    )
    assert verify(trained.settings).status == "ok"


@pytest.mark.parametrize("way", ["migrate", "mv"])
def test_a_moved_home_writes_nothing_to_the_old_place(trained, tmp_path, way):
    old, place = trained.settings.home, tmp_path / "elsewhere"
    if way == "mv":
        old.rename(place)
    else:
        migrate(trained.settings, Destination(home=place))
    tracking = Tracking(settings_at(trained, place))
    with tracking.run("blobs", "one more", {}) as (run_id, _):
        tracking.client.log_text(run_id, "a note", "note.txt")
    assert list(place.glob(f"mlartifacts/blobs/{run_id}/artifacts/note.txt"))
    assert tracking.run_file(trained.weak.run_id, "pipeline/spec.json")
    columns = {
        "experiments": "artifact_location",
        "runs": "artifact_uri",
        "logged_models": "artifact_location",
        "model_versions": "storage_location",
    }
    with sqlite3.connect(place / "mlflow.db") as database:
        for table, column in columns.items():
            query = f"SELECT {column} FROM {table}"
            places = [row[0] for row in database.execute(query)]
            own = [one for one in places if f"{place.as_uri()}/mlartifacts/" in one]
            assert own
            assert not [one for one in places if f"{old}/" in one]
    database.close()


def test_the_databases_go_to_postgresql_and_are_written_there(
    trained, databases, monkeypatch
):
    ready = migrate(trained.settings, databases, only_check=True)
    assert ready.status == "ready"
    head = Ledger(trained.settings.database_url).walk_chain().head
    migration = migrate(trained.settings, databases)
    assert {part.name for part in migration.parts} == {"ledger", "mlflow"}
    assert migration.chain["head"] == head
    assert Ledger(databases.database_url).walk_chain().head == head

    promote_good(trained)  # in the old place: the copy is brought up to date
    migrate(trained.settings, databases)
    listed = Tracking(trained.settings).registered("blobs")
    for name, value in databases.environment.items():
        monkeypatch.setenv(name, value)
    moved = Settings(
        project=trained.settings.project, home=trained.settings.home, user="ada@lab"
    )
    ledger = Ledger(moved.database_url)
    assert [version.version for version in ledger.versions("blobs")] == [1, 2]
    ledger.anchor({"a new row": "0" * 64})  # PostgreSQL numbers it after the others
    ledger.rollback("blobs", who="ada", why="a new row too", expected_sequence=2)
    tracking = Tracking(moved)
    assert tracking.experiment("another")
    assert tracking.registered("blobs") == listed
    assert ledger.walk_chain().problem == ""


def test_a_database_with_a_ledger_of_its_own_is_refused(trained, databases):
    Ledger(databases.database_url).anchor({"theirs": "0" * 64})
    for only_check in (True, False):
        with pytest.raises(UsageError, match="has a ledger of its own"):
            migrate(trained.settings, databases, only_check=only_check)


def test_an_mlflow_with_runs_of_its_own_is_refused(trained, databases, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", databases.tracking_uri)
        Tracking(trained.settings).experiment("theirs")
    with pytest.raises(UsageError, match=r"rows of its own \(table experiments\)"):
        migrate(trained.settings, databases)


def test_what_is_no_new_place_is_refused(trained, tmp_path):
    home = trained.settings.home
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for destination, message in (
        (Destination(), "nothing would be moved"),
        (Destination(home=home), "nothing would be moved"),
        (Destination(home=tmp_path / "full"), "is there already"),
        (Destination(home=home / "inside"), "inside the home"),
        (Destination(store=str(tmp_path / "full")), "is not of this home"),
    ):
        with pytest.raises(UsageError, match=message):
            migrate(trained.settings, destination)


def test_a_place_is_checked_before_the_home_is_verified(trained):
    for file in trained.settings.home.glob("mlartifacts/**/model.keras"):
        file.unlink()
    with pytest.raises(UsageError, match="nothing would be moved"):
        migrate(trained.settings, Destination())


def test_a_home_in_which_something_runs_is_not_moved(trained, tmp_path):
    Leases(trained.settings.database_url).acquire(Lease.wanted("blobs", "f1", "ada"))
    with pytest.raises(DependencyError, match="blobs is busy"):
        migrate(trained.settings, Destination(home=tmp_path / "new"))


def test_a_home_that_does_not_fit_its_ledger_is_not_moved(trained, tmp_path):
    for file in trained.settings.home.glob("mlartifacts/**/model.keras"):
        file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match="is not as recorded: blobs/1"):
        migrate(trained.settings, Destination(home=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_what_an_interrupted_one_left_is_replaced(trained, tmp_path):
    left = tmp_path / ".new.migrating"
    (left / "store" / "stages").mkdir(parents=True)
    (left / "store" / "stages" / "half.json").write_text("{")
    migrate(trained.settings, Destination(home=tmp_path / "new"))
    assert not left.exists()
    assert not list((tmp_path / "new").rglob("half.json"))
