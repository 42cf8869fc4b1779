"""``infra/``: compose file and images are valid, pinned, and keep no secret."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from headrace.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
COMPOSE = INFRA / "compose.yaml"
TWO_MACHINES = INFRA / "compose.two-machines.yaml"
PRODUCT = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
SERVICES = PRODUCT["services"]
PRESET = {"MLFLOW_PORT", "PREFECT_PORT", "SERVE_MODELS", "SERVE_PORT"}
PRESET |= {"SERVE_TOKEN_FILE", "SERVE_CERT_FILE", "SERVE_KEY_FILE"}
PRESET |= {"DOCKER_SOCKET", "DOCKER_RUNS"}
PRESET |= {"PRIVATE_NAME", "POSTGRES_PORT", "OBJECTS_PORT", "WORKERS_HERE"}
PUBLIC = {"PREFECT_PUBLIC_URL", "MLFLOW_PUBLIC_URL"}
OPTIONAL = {"HEADRACE_NOTIFY", "SERVE_HOSTS", *PUBLIC, *PRESET}
WORKERS = ("worker-cpu", "worker-gpu", "worker-docker")
ONE_SHOT = {"buckets", "users", "cli"}
SECRET = re.compile(r"PASSWORD|SECRET|AUTH_STRING")


# Read by infra/postgres/databases.sh, and the beginnings of names in sentences.
NO_SETTINGS = {"HEADRACE_DB_PASSWORD", "HEADRACE_S3_SECRET"}


def test_a_setting_that_is_given_is_one_that_headrace_reads():
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    for path in INFRA.rglob("*"):
        if path.is_file() and path.suffix in {".yaml", ".json", ".service", ""}:
            text = path.read_text(encoding="utf-8")
            used = set(re.findall(r"\bHEADRACE_[A-Z0-9_]*[A-Z0-9]\b", text))
            assert used - NO_SETTINGS <= known, path


def compose_command():
    """Docker's compose, as a program of its own or as a part of `docker`."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker"):
        command = ["docker", "compose"]
        if not subprocess.run([*command, "version"], check=False).returncode:
            return command
    pytest.skip("no docker-compose here (Debian: apt-get install docker-compose)")


def compose_config(values, tmp_path, *arguments, files=(COMPOSE,)):
    """What compose makes of the files with these secrets."""
    file = tmp_path / "env"
    file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    command = [*compose_command(), "--env-file", str(file)]
    command += [f"--file={path}" for path in files]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return subprocess.run(
        [*command, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )


def example():
    """The variables of ``.env.example``."""
    text = (INFRA / ".env.example").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row and not row.startswith("#")]
    return dict(row.split("=", 1) for row in rows)


def filled(of_two_machines):
    """The example with a value for each name; or without those of two machines."""
    own = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    return {
        name: value or f"value{number}x"
        for number, (name, value) in enumerate(example().items())
        if of_two_machines or name in own
    }


def test_compose_takes_the_file_with_every_profile(tmp_path):
    values = filled(of_two_machines=False)
    done = compose_config(values, tmp_path, "--profile", "*", "config")
    assert done.returncode == 0, done.stderr
    assert "variable is not set" not in done.stderr
    config = yaml.safe_load(done.stdout)
    assert set(config["services"]) == set(SERVICES)
    identities = json.loads(config["configs"]["objects"]["content"])["identities"]
    assert [row["name"] for row in identities] == ["admin", "headrace", "mlflow"]
    ports = [port for s in config["services"].values() for port in s.get("ports", [])]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    for name, service in config["services"].items():
        for needed, how in service.get("depends_on", {}).items():
            once = needed in ONE_SHOT
            wanted = "service_completed_successfully" if once else "service_healthy"
            assert how["condition"] == wanted, (name, needed)


@pytest.mark.parametrize("name", sorted({*example()} - OPTIONAL))
def test_compose_refuses_to_start_without_a_secret(name, tmp_path):
    values = filled(of_two_machines=True) | {"PRIVATE_ADDRESS": "10.9.0.1"}
    del values[name]
    files = (COMPOSE, TWO_MACHINES)
    done = compose_config(values, tmp_path, "config", "--quiet", files=files)
    assert done.returncode != 0
    assert name in done.stderr


def test_another_machine_reaches_four_services_at_one_address(tmp_path):
    address = "10.9.0.1"
    values = filled(of_two_machines=True) | {"PRIVATE_ADDRESS": address}
    files = (COMPOSE, TWO_MACHINES)
    done = compose_config(values, tmp_path, "config", files=files)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    published = {
        name: int(port["published"])
        for name, service in services.items()
        for port in service.get("ports", [])
        if port["host_ip"] == address
    }
    ports = {"postgres": 5432, "objects": 8333, "prefect": 4200, "mlflow": 5000}
    assert published == ports
    postgres = services["postgres"]
    assert "--ssl=on" in postgres["command"]
    assert {row["source"] for row in postgres["secrets"]} == {
        "postgres_cert",
        "postgres_key",
    }
    hosts = services["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {f"{address}:*", "control:*"} < set(hosts)


def test_what_runs_our_code_cannot_change_its_image_nor_become_another():
    for name, service in SERVICES.items():
        if "build" in service or "prefect" in service["image"]:
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name


def test_the_example_has_no_value_and_is_what_compose_asks_for():
    text = COMPOSE.read_text(encoding="utf-8") + TWO_MACHINES.read_text("utf-8")
    assert set(example()) == set(re.findall(r"\$\{(\w+)", text))
    assert {name for name, value in example().items() if value} == PRESET
    assert not any(SECRET.search(name) for name in OPTIONAL)


def test_a_worker_has_no_secret_of_a_server_nor_the_server_of_models_of_prefect():
    for name in (*WORKERS, "cli", "serve"):
        secrets = {
            secret
            for value in SERVICES[name]["environment"].values()
            for secret in re.findall(r"\$\{(\w+)", value)
        }
        expected = {
            "HEADRACE_DB_PASSWORD",
            "HEADRACE_S3_SECRET",
            "MLFLOW_USER_PASSWORD",
        }
        if name != "serve":
            expected.add("PREFECT_PASSWORD")
        assert secrets - OPTIONAL == expected


def test_the_engines_socket_is_given_to_a_service_that_is_off_by_default():
    reach = [n for n, s in SERVICES.items() if "sock" in str(s.get("volumes"))]
    assert reach == ["worker-docker"]
    assert SERVICES["worker-docker"]["profiles"] == ["pool"]
