"""MLflow's rows of a version, where its artifacts have moved."""

from typing import Any

import pytest
import sqlalchemy as sa

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.tracking import Tracking
from headrace.state.tracking.connection import relocate
from headrace.state.tracking.rows import TrackingRows, database_of

Trained = Any


def test_rows_stay_as_they_were_where_artifacts_go_to_object_storage(trained):
    settings = trained.settings
    Tracking(settings)  # the home was moved: MLflow's paths follow
    version = Ledger(settings.database_url).version("blobs", 1)
    url = database_of(settings)
    recorded = TrackingRows(settings, url).read(version)
    moved = settings.model_copy(update={"store": "s3://bucket/store"})
    rows = TrackingRows(moved, url)
    assert rows.mismatches(version, recorded) == []
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        relocate(connection, settings.artifacts, moved.artifacts)
    assert rows.mismatches(version, recorded) == []
    [run] = rows.read(version)["runs"]
    assert run["artifact_uri"].startswith("{artifacts}/blobs/")


def test_a_damaged_database_is_named_with_what_to_do(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database at all" * 100)
    settings = Settings(project=tmp_path, home=tmp_path)
    rows = TrackingRows(settings, database_of(settings))
    with pytest.raises(DependencyError, match=r"mlflow\.db failed.*from a backup"):
        rows.aliases("digits")
