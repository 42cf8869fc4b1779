"""Tests of the databases that are copied from templates."""

import sqlite3
from contextlib import closing

import pytest

from headrace.state import templates
from headrace.state.templates import new_database
from headrace.state.tracking.connection import create_database, import_mlflow


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the templates, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "headrace" / "templates"


class Library:
    """A library with one table, which counts how often it has migrated."""

    def __init__(self):
        self.migrations = 0

    def migrate(self, path):
        """Create the table."""
        self.migrations += 1
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE runs (id)")


def tables(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name FROM sqlite_master").fetchall()


def test_the_second_database_is_copied_from_the_first(tmp_path):
    library = Library()
    for name in ("a.db", "b.db"):
        new_database(tmp_path / name, "mlflow", library.migrate)
        assert tables(tmp_path / name) == [("runs",)]
    assert library.migrations == 1
    assert (tmp_path / "b.db").stat().st_mode & 0o077 == 0


def test_a_database_that_exists_is_left_alone(tmp_path):
    (tmp_path / "a.db").write_bytes(b"a user's")
    new_database(tmp_path / "a.db", "mlflow", Library().migrate)
    assert (tmp_path / "a.db").read_bytes() == b"a user's"


def test_the_template_has_no_rows_of_the_home_that_it_was_made_for(tmp_path):
    library = Library()
    new_database(tmp_path / "a.db", "mlflow", library.migrate)
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("INSERT INTO runs VALUES ('secret')")
    new_database(tmp_path / "b.db", "mlflow", library.migrate)
    with closing(sqlite3.connect(tmp_path / "b.db")) as connection:
        assert connection.execute("SELECT * FROM runs").fetchall() == []


def test_another_version_of_the_library_has_another_template(tmp_path, monkeypatch):
    library = Library()
    new_database(tmp_path / "a.db", "mlflow", library.migrate)
    monkeypatch.setattr(templates, "version", lambda _name: "99.0")
    new_database(tmp_path / "b.db", "mlflow", library.migrate)
    assert library.migrations == 2


@pytest.mark.system
def test_mlflow_finds_its_tables_in_a_copy_and_nothing_of_the_maker(tmp_path, cache):
    for name in ("a.db", "b.db"):
        create_database(tmp_path / name)
    (template,) = cache.glob("mlflow-*.db")
    assert template.read_bytes() == (tmp_path / "b.db").read_bytes()
    assert str(tmp_path).encode() not in template.read_bytes()
    client = import_mlflow().MlflowClient(f"sqlite:///{tmp_path / 'b.db'}")
    assert [found.name for found in client.search_experiments()] == ["Default"]


def test_the_folder_is_only_the_users(tmp_path, cache):
    new_database(tmp_path / "a.db", "mlflow", Library().migrate)
    for folder in (cache, cache.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_a_cache_folder_each_database_is_migrated(tmp_path, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("not a folder")
    library = Library()
    for name in ("a.db", "b.db"):
        new_database(tmp_path / name, "mlflow", library.migrate)
        assert tables(tmp_path / name) == [("runs",)]
    assert library.migrations == 2


def test_a_migration_that_fails_leaves_no_database_and_no_template(tmp_path, cache):
    def fail(path):
        path.write_bytes(b"half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        new_database(tmp_path / "a.db", "mlflow", fail)
    assert not (tmp_path / "a.db").exists()
    assert not list(cache.glob("*"))
    new_database(tmp_path / "a.db", "mlflow", Library().migrate)
    assert tables(tmp_path / "a.db") == [("runs",)]
