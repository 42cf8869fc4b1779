"""Secrets of the environment are in nothing that is written or said."""

import pytest
from tests.databases import postgresql
from tests.faults.storage import BUCKET

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CANARY = "canary-"
DRIVER = "postgresql+psycopg2"


@pytest.fixture
def postgres(new_home):
    """The folder of an empty PostgreSQL."""
    home = new_home()
    home.mkdir()
    return home / "postgres"


@pytest.fixture
def postgres_url(postgres):
    """A database in it; its password is in the URL, though it asks for none."""
    with postgresql(postgres) as server:
        server.psql("CREATE DATABASE headrace")
        sockets = server.get_uri(database="headrace").partition("?")[2]
        yield f"{DRIVER}://postgres:{CANARY}db@/headrace?{sockets}"


def files_with_canary(folder):
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and CANARY.encode() in path.read_bytes()
    ]


def test_no_secret_is_written_or_said(place, storage, postgres, postgres_url, tmp_path):
    secrets = {
        "HEADRACE_DATABASE_URL": postgres_url,
        "PREFECT_API_AUTH_STRING": f"admin:{CANARY}prefect",
        "PREFECT_SERVER_API_AUTH_STRING": f"admin:{CANARY}prefect",
        "MLFLOW_TRACKING_USERNAME": "ada",
        "MLFLOW_TRACKING_PASSWORD": f"{CANARY}mlflow",
        "AWS_SESSION_TOKEN": f"{CANARY}session",
    }
    assert storage.environment["AWS_SECRET_ACCESS_KEY"].startswith(CANARY)
    ran = place.headrace("run", "blobs", **secrets)
    assert ran["status"] == "promoted", ran["told"]
    assert CANARY not in ran["told"]
    assert (place.home / "prefect").is_dir()
    assert files_with_canary(tmp_path) + files_with_canary(postgres) == []
    for key in storage.keys():
        body = storage.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert CANARY.encode() not in body, key
