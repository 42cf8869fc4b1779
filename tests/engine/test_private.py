"""The service for workers on other machines, by the guide to two machines.

The engine's network is the control machine, and a link leads to the worker machine.
"""

import json
import re
import shutil
import sys

import pytest
from tests.engine.guide import block_of, command, variables_of
from tests.engine.machines import LINK, Machine, connect, variables
from tests.engine.needs import need_root_and
from tests.engine.service import COMPOSE, Service
from tests.waiting import until

# With nothing cached, the first makes the images.
pytestmark = pytest.mark.timeout(2400)

PAGE = "compose.md"
OVER = "infra/compose.two-machines.yaml"
PORTS = (4200, 5000, 5432, 8333)
CERTIFICATE = "infra/secrets/postgres.crt"


@pytest.fixture(scope="module")
def worker(engine, tmp_path_factory):
    """The worker machine, linked to the control machine."""
    need_root_and("hostname")
    hosts = tmp_path_factory.mktemp("worker") / "hosts"
    names = block_of(PAGE, "# /etc/hosts", language="text")
    hosts.write_text(f"127.0.0.1 localhost\n{names}")
    machine = Machine("worker", "10.9.0.2", hosts)
    try:
        connect((engine, machine), LINK, "10.9.0")
        yield machine
    finally:
        engine.run("ip", "link", "delete", LINK, check=False)
        machine.end()


@pytest.fixture(scope="module")
def control(engine, worker, tmp_path_factory):
    """The service of the control machine, with what the guide writes; not started."""
    made = Service(engine, tmp_path_factory.mktemp("repository"), over=[OVER])
    try:
        made.fill_in()
        made.shell(block_of(PAGE, "CN=control"))
        made.set(variables_of("infra/.env, besides the secrets", str))
        yield made
    finally:
        made.down()


def start(control, code=0):
    """Give the guide's command: what it said. The rest of its block is systemd's."""
    words, *rest = block_of(PAGE, "compose.two-machines.yaml up").splitlines()
    assert all("system" in row for row in rest)
    done = control.engine.run(*words.split(), cwd=control.place, check=False)
    assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
    return done.stderr


def published(control):
    """What the running containers publish: addresses and ports."""
    said = control.engine.docker("ps", "--format", "{{.Ports}}")
    return {*re.findall(r"(\S+:\d+)->", said)}


@pytest.mark.parametrize(
    "name", ["PRIVATE_ADDRESS", "POSTGRES_CERT_FILE", "POSTGRES_KEY_FILE"]
)
def test_it_is_refused_before_anything_is_made_while_a_name_is_not_set(control, name):
    values = variables_of("infra/.env, besides the secrets", str)
    control.set({name: ""})
    said = start(control, code=1)
    control.set(values)
    assert f"{name} is missing a value: set it in infra/.env" in said
    assert control.engine.docker("ps", "--all", "--quiet") == ""
    assert control.engine.docker("network", "ls", "-q", "--filter", "type=custom") == ""


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "[fd00::1]"])
def test_at_an_address_of_all_networks_or_of_ipv6_nothing_starts(control, address):
    control.set({"PRIVATE_ADDRESS": address})
    start(control, code=1)
    assert control.engine.docker("ps", "--quiet") == ""
    said = f"PRIVATE_ADDRESS in infra/.env is {address}, "
    assert said in control.log("address")
    control.set({"PRIVATE_ADDRESS": "10.9.0.1"})


@pytest.fixture(scope="module")
def started(control):
    """The service, started."""
    start(control)
    return control


def test_four_servers_are_published_at_the_private_address(started):
    private = {f"10.9.0.1:{port}" for port in PORTS}
    assert published(started) == private | {"127.0.0.1:4200", "127.0.0.1:5000"}
    assert started.container("worker-cpu")


CONNECT = """
import json, sys, psycopg2
try:
    psycopg2.connect(**json.loads(sys.argv[1])).close()
except psycopg2.OperationalError as error:
    print(error)
"""


def test_postgresql_lets_in_the_ledgers_role_with_tls_and_its_password(started, worker):
    def refused(role="headrace", **options):
        name = "POSTGRES" if role == "postgres" else f"{role.upper()}_DB"
        own = {"user": role, "dbname": role, "host": "control", "sslmode": "require"}
        own["password"] = started.secrets[f"{name}_PASSWORD"]
        said = json.dumps(own | options)
        return worker.run(sys.executable, "-c", CONNECT, said).strip()

    trust = str(started.place / CERTIFICATE)
    checked = {"sslmode": "verify-full", "sslrootcert": trust}
    assert refused(**checked) == ""
    assert "does not match host name" in refused(**checked, host="10.9.0.1")
    assert "password authentication failed" in refused(**checked, password="wrong")
    assert "no encryption" in refused(sslmode="disable")
    for role in ("prefect", "mlflow", "postgres"):
        said = refused(role)
        assert f'no pg_hba.conf entry for host "10.9.0.2", user "{role}"' in said
    said = refused(dbname="prefect")
    assert 'user "headrace", database "prefect", SSL encryption' in said


def test_the_other_servers_answer_nobody_without_a_login(started, worker):
    for place, status in {
        "4200/api/admin/version": "401",
        "5000/api/2.0/mlflow/experiments/search?max_results=1": "401",
        "8333/headrace": "403",
    }.items():
        ask = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]
        for name in ("control", "10.9.0.1"):
            assert worker.run(*ask, f"http://{name}:{place}") == status


def test_the_databases_reach_no_other_machine(started, worker, tmp_path):
    server = (sys.executable, "-m", "http.server", "8000", "--bind", worker.address)
    worker.start(*server, log=tmp_path / "server.log", folder=tmp_path)
    reach = f"import socket; socket.create_connection({(worker.address, 8000)}, 5)"
    until(lambda: started.python(reach, "mlflow").returncode == 0, "no way out")
    reach = f"exec 3<>/dev/tcp/{worker.address}/8000"
    words = ("exec", "-T", "postgres", "timeout", "5", "bash", "-c", reach)
    compose = (*started.command, *words)
    done = started.engine.run(*compose, cwd=started.place, check=False)
    assert done.returncode == 124, done.stderr  # the time is over


def test_the_firewall_stands_before_the_ports_of_docker(started, worker, tmp_path):
    need_root_and("nft")
    rules = tmp_path / "headrace.nft"
    rules.write_text(block_of(PAGE, "table inet", language="text"))

    def seen():
        return {worker.reach("10.9.0.1", port) for port in PORTS}

    connect((started.engine, worker), "eth0", "10.8.0")
    worker.run("ip", "route", "add", "10.9.0.1", "via", "10.8.0.1")
    assert seen() == {""}
    started.engine.run("nft", "--file", rules)
    try:
        assert seen() == {"TimeoutError"}
        worker.run("ip", "link", "delete", "eth0")
        assert seen() == {""}
        assert started.headrace("doctor")["status"] == "ok"
    finally:
        started.engine.run("nft", "delete", "table", "inet", "headrace")


@pytest.fixture
def shell(started, worker, tmp_path):
    """What runs a command of the guide on the worker machine, as its user would."""
    own = variables_of("/etc/headrace/worker.env", started.secrets.__getitem__)
    own["PGSSLROOTCERT"] = str(shutil.copy(started.place / CERTIFICATE, tmp_path))
    own |= {"HEADRACE_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    options = {"folder": started.place, "environment": variables(**own)}

    def run(text, *more, log=None):
        if log:
            return worker.start(*command(text), log=log, **options)
        return json.loads(worker.run(*command(text), *more, "--json", **options))

    return run


def test_a_run_goes_to_the_worker_machine(started, shell, tmp_path):
    started.set({"WORKERS_HERE": "0"})
    start(started)
    assert started.container("worker-cpu") == ""
    checks = shell("headrace doctor")["checks"]
    assert {check["state"] for check in checks} == {"ok"}, checks
    shell("headrace deploy digits")
    log = tmp_path / "worker.log"
    process = shell("headrace worker --pool cpu", log=log)
    run = shell("headrace run digits --deployed", "--set", "training.epochs=5")[
        "flow_run_id"
    ]
    assert started.ended(run, 900) == "Promoted", log.read_text()[-4000:]
    assert process.poll() is None
    before = started.engine.docker("ps", "--quiet")
    started.shell(f"{' '.join(COMPOSE)} run --rm cli headrace verify")
    assert started.engine.docker("ps", "--quiet") == before


def test_the_unit_ends_and_starts_it(started):
    file = started.place / "infra" / "systemd" / "headrace-control.service"
    unit = dict(re.findall(r"^(\w+)=(.*)$", file.read_text(), re.MULTILINE))
    names = ("PATH", "DOCKER_HOST", "DOCKER_CONFIG")
    own = [f"{name}={started.engine.environment[name]}" for name in names]
    before = published(started)
    for name, after in (("ExecStop", set()), ("ExecStart", before)):
        command = ("env", "-i", *own, unit["Environment"], *unit[name].split())
        started.engine.run(*command, cwd=started.place / "infra")
        assert published(started) == after


def test_it_ends_by_the_guide_and_leaves_what_is_kept(started):
    both = " ".join(started.command)
    started.shell(block_of("compose.md", "'*' down").replace(" ".join(COMPOSE), both))
    docker = started.engine.docker
    assert docker("ps", "--all", "--quiet") == ""
    assert docker("network", "ls", "--quiet", "--filter", "type=custom") == ""
    kept = {f"headrace_{name}" for name in ("objects", "postgres", "prefect")}
    assert named_volumes(docker) == kept
    started.down()
    assert named_volumes(docker) == set()


def named_volumes(docker):
    """Those that have a name of their own; the others stay, as the guide says."""
    names = docker("volume", "ls", "--quiet").split()
    return {name for name in names if not re.fullmatch("[0-9a-f]{64}", name)}
