"""What `verify` finds that the champion's files and aliases do not show."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from headrace.errors import UsageError
from headrace.evidence.repair import repair, repair_all
from headrace.evidence.verification import verify
from headrace.settings import Settings
from headrace.stages.promotion.registry import project_aliases, publish_head
from headrace.stages.registration import register
from headrace.state.home import Home as Opened
from headrace.state.ledger import Ledger
from headrace.state.ledger.holding import COLLECTING, hold
from headrace.state.tracking import Tracking

pytestmark = pytest.mark.system

Trained = Any


@pytest.fixture
def recorded(trained):
    """A home of which everything fits."""
    _ = Tracking(trained.settings).client  # the home was moved: MLflow's paths follow
    assert verify(trained.settings).status == "ok"
    return trained


def test_a_run_of_the_champion_that_was_deleted_in_mlflow_is_undeleted(recorded):
    settings = recorded.settings
    Tracking(settings).client.delete_run(recorded.weak.run_id)
    found = verify(settings)
    assert (found.status, found.problem and found.problem.where) == ("broken", "mlflow")
    assert "was deleted. Run `headrace verify blobs/1 --repair`." in found.reason
    (done,) = repair_all(settings)
    assert (done.status, done.done[-1]) == ("restored", "undeleted its run")
    assert verify(settings).status == "ok"


def test_an_alias_that_was_moved_in_mlflow_is_put_right(recorded):
    settings, client = recorded.settings, Tracking(recorded.settings).client
    client.delete_registered_model_alias("blobs", "champion")
    assert (
        "MLflow's alias champion of blobs is on no version" in verify(settings).reason
    )
    (done,) = repair_all(settings)
    assert "put MLflow's aliases where the ledger has them" in done.done
    assert client.get_registered_model("blobs").aliases == {"champion": 1}
    assert verify(settings).status == "ok"


def test_a_version_that_was_deleted_in_mlflow_is_named_and_not_made_again(recorded):
    settings = recorded.settings
    Tracking(settings).client.delete_model_version("blobs", "1")
    (done,) = repair_all(settings)
    assert not done.is_sound
    assert "MLflow's registry has no version 1 of blobs, which is the" in done.reason
    found = verify(settings)
    assert found.status == "broken"
    assert "Restore MLflow's database from a backup" in found.reason


def spoil(file):
    file.write_bytes(file.read_bytes() + b" ")


def test_what_verify_sends_to_a_repair_is_repaired(after_first):
    """A file beside the model, and one of the snapshot that no training reads."""
    settings = Settings(project=after_first.project, home=after_first.path)
    for pattern in ("mlartifacts/**/MLmodel", "store/**/rejected.parquet"):
        (file,) = settings.home.glob(pattern)
        spoil(file)
        assert verify(settings).status == "broken"
        assert repair("blobs", settings).status == "restored"
        assert verify(settings).problem is None


def _told(settings):
    """What a repair says that fails."""
    try:
        done = repair("blobs/1", settings)
    except UsageError as error:
        return str(error)
    assert done.status == "failed"
    return done.reason


def test_an_interrupted_forgetting_is_named(recorded):
    ledger = Ledger(recorded.settings.database_url)
    ledger.facts.begin_forgetting("blobs", "item", "ada", ["f" * 64])
    assert repair("blobs", recorded.settings).status == "sound"
    found = verify(recorded.settings).problem
    assert found is not None
    assert "`headrace forget blobs` of ada, begun 2" in found.message
    assert "`headrace forget blobs --yes`" in found.action
    with hold(recorded.settings, COLLECTING, "forget-x"):
        assert verify(recorded.settings).status == "ok"
    ledger.facts.end_forgettings("ada")
    assert verify(recorded.settings).status == "ok"


def test_a_version_that_never_was_champion_is_repaired(trained):
    place = (trained.folder, trained.snapshot, trained.good, trained.good_evaluation)
    assert register(trained.spec, *place, trained.home).version == 2
    identity = trained.good.model_uri.rpartition("/")[2]
    (file,) = trained.settings.home.glob(f"mlartifacts/**/{identity}/**/MLmodel")
    spoil(file)
    assert "Run `headrace verify blobs/2 --repair`" in verify(trained.settings).reason
    assert repair("blobs/2", trained.settings).status == "restored"
    assert verify(trained.settings).status == "ok"


def test_a_folder_in_the_place_of_a_file_is_named_and_can_be_moved_away(recorded):
    settings, run = recorded.settings, recorded.weak
    model = run.model_uri.rpartition("/")[2]
    golden = f"{run.run_id}/*/golden/golden.npz"
    for what, name in (("golden", golden), ("model", f"{model}/*/*/model.keras")):
        (file,) = settings.home.glob(f"mlartifacts/**/{name}")
        file.unlink()
        file.mkdir()
        found = verify(settings)
        assert found.problem is not None
        assert found.problem.what == f"file {what}"
        assert "headrace verify blobs/1 --repair`" in found.problem.action
        assert "Move it away" in _told(settings)
        file.rmdir()
    assert repair("blobs/1", settings).status == "restored"
    assert verify(settings).status == "ok"


def test_a_ledger_without_the_head_that_a_promotion_published_is_named(recorded):
    """It is an older one, and sound in itself."""
    settings = recorded.settings
    file, backup = settings.home / "headrace.db", settings.home / "backup.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"VACUUM INTO '{backup}'")
    place = (recorded.folder, recorded.snapshot)
    place += (recorded.good, recorded.good_evaluation)
    assert register(recorded.spec, *place, recorded.home).version == 2
    project_aliases("blobs", recorded.home)
    publish_head("blobs", Opened(settings))
    assert verify(settings).status == "ok"
    for name in ("headrace.db-wal", "headrace.db-shm"):
        (settings.home / name).unlink(missing_ok=True)
    backup.replace(file)
    found = verify(settings)
    assert found.problem is not None
    assert found.problem.where == "ledger"
    assert "is gone: the chain was cut off or recomputed" in found.problem.message
    assert "Restore it from a backup" in found.problem.action
