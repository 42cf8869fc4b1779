"""A home that was moved: MLflow's paths follow."""

import sqlite3

import pytest

from headrace.settings import Settings
from headrace.state.tracking import Tracking

pytestmark = pytest.mark.system
COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def test_a_moved_home_writes_nothing_to_the_old_place(trained, tmp_path):
    old, place = trained.settings.home, tmp_path / "elsewhere"
    old.rename(place)
    moved = Settings(project=trained.settings.project, home=place, user="ada@lab")
    tracking = Tracking(moved)
    with tracking.run("blobs", "one more", {}) as (run_id, _):
        tracking.client.log_text(run_id, "a note", "note.txt")
    assert list(place.glob(f"mlartifacts/blobs/{run_id}/artifacts/note.txt"))
    assert tracking.run_file(trained.weak.run_id, "pipeline/spec.json")
    with sqlite3.connect(place / "mlflow.db") as database:
        for table, column in COLUMNS.items():
            query = f"SELECT {column} FROM {table}"
            places = [row[0] for row in database.execute(query)]
            own = [one for one in places if f"{place.as_uri()}/mlartifacts/" in one]
            assert own
            assert not [one for one in places if f"{old}/" in one]
    database.close()
