"""``infra/``: compose file and images are valid, pinned, and keep no secret."""

import asyncio
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
DOCKERFILE = (INFRA / "images" / "Dockerfile").read_text(encoding="utf-8")
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
# What neither Headrace, Prefect nor MLflow reads, and who does.
OTHERS = {
    "AWS_ACCESS_KEY_ID": "boto3",
    "AWS_SECRET_ACCESS_KEY": "boto3",
    "AWS_DEFAULT_REGION": "boto3",
    "AWS_ENDPOINT_URL": "boto3",
    "AWS_RETRY_MODE": "boto3",
    "AWS_MAX_ATTEMPTS": "boto3",
    "PGPASSWORD": "libpq and asyncpg",
    "PGSSLMODE": "libpq and asyncpg",
    "CUDA_VISIBLE_DEVICES": "CUDA",
    "DO_NOT_TRACK": "Prefect and MLflow",
    "GX_ANALYTICS_ENABLED": "Great Expectations",
    "HOME": "everyone",
    "KERAS_BACKEND": "Keras",
    "NVIDIA_DRIVER_CAPABILITIES": "NVIDIA's container toolkit",
    "NVIDIA_VISIBLE_DEVICES": "NVIDIA's container toolkit",
    "OMP_NUM_THREADS": "OpenMP",
    "PATH": "everyone",
    "POSTGRES_PASSWORD": "PostgreSQL's image",
    "PYTHONUNBUFFERED": "Python",
    "TF_FORCE_GPU_ALLOW_GROWTH": "TensorFlow",
    "TF_NUM_INTEROP_THREADS": "TensorFlow",
    "TF_NUM_INTRAOP_THREADS": "TensorFlow",
}
PASSWORDS = ("HEADRACE_DB_PASSWORD", "MLFLOW_DB_PASSWORD", "PREFECT_DB_PASSWORD")
# Read by infra/postgres/databases.sh and infra/prepare/users.py.
OURS = {*PASSWORDS, "MLFLOW_USER_PASSWORD"}


def environments():
    """Every place of ``infra/`` that sets variables, with what it sets."""
    found = {
        f"compose {name}": service["environment"]
        for name, service in SERVICES.items()
        if "environment" in service
    }
    blocks = re.findall(r"^ENV ((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE)
    pairs = re.findall(r"([A-Z]\w+)=(\S+)", " ".join(blocks))
    found["Dockerfile"] = {
        name: value for name, value in pairs if name not in {"VIRTUAL_ENV"}
    }
    for path in sorted((INFRA / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if document["kind"] == "ConfigMap":
                data = {k: v for k, v in document["data"].items() if k.isupper()}
                found[f"{path.name} {document['metadata']['name']}"] = data
    for path in sorted((INFRA / "kubernetes" / "values").glob("*.yaml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows = values.get("worker", values).get("extraEnvVars")
        rows = rows or values["global"]["prefect"]["env"]
        found[path.name] = {row["name"]: row["value"] for row in rows}
    for path in sorted((INFRA / "pools").glob("*.json")):
        template = json.loads(path.read_text(encoding="utf-8"))
        env = template["job_configuration"]["env"]
        if env == "{{ env }}":
            env = template["variables"]["properties"]["env"]["const"]
        found[path.name] = env
    return found


def is_read(name):
    """Whether the product or one of its libraries knows a variable."""
    if name.startswith("HEADRACE_") and name not in OURS:
        return name.removeprefix("HEADRACE_").lower() in Settings.model_fields
    if name.startswith("PREFECT_INTEGRATIONS_"):
        return name.startswith("PREFECT_INTEGRATIONS_KUBERNETES_")
    if name.startswith("PREFECT_") and name not in OURS:
        import prefect.settings

        return hasattr(prefect.settings, name)
    if name.startswith("MLFLOW_") and name not in OURS:
        import mlflow.cli
        import mlflow.environment_variables

        options = {option.envvar for option in mlflow.cli.server.params}
        return hasattr(mlflow.environment_variables, name) or name in options
    return name in OTHERS or name in OURS or name.startswith("UV_")


@pytest.mark.parametrize("place", environments())
def test_a_variable_that_is_set_is_read_by_somebody(place):
    unread = [name for name in environments()[place] if not is_read(name)]
    assert unread == []


def test_a_variable_that_nobody_reads_would_be_noticed():
    for name in ("HEADRACE_STOER", "PREFECT_API_ADRESS", "MLFLOW_TRAKING_URI", "AWS_X"):
        assert not is_read(name), name


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


@pytest.mark.parametrize("workers", [0, 3])
def test_the_workers_on_this_machine_are_a_setting_that_lasts(workers, tmp_path):
    values = filled(of_two_machines=False) | {"WORKERS_HERE": workers}
    done = compose_config(values, tmp_path, "config")
    assert done.returncode == 0, done.stderr
    worker = yaml.safe_load(done.stdout)["services"]["worker-cpu"]
    assert worker["deploy"]["replicas"] == workers


def test_a_command_does_not_run_again_what_prepares_the_service():
    assert SERVICES["cli"]["depends_on"] == []
    assert set(SERVICES["worker-cpu"]["depends_on"]) >= {"buckets", "users"}


@pytest.mark.parametrize("name", sorted({*example()} - OPTIONAL))
def test_compose_refuses_to_start_without_a_secret(name, tmp_path):
    values = filled(of_two_machines=True) | {"PRIVATE_ADDRESS": "10.9.0.1"}
    del values[name]
    files = (COMPOSE, TWO_MACHINES)
    done = compose_config(values, tmp_path, "config", "--quiet", files=files)
    assert done.returncode != 0
    assert name in done.stderr


@pytest.mark.parametrize("address", ["10.9.0.1", "127.0.0.1"])
def test_another_machine_reaches_four_services_at_one_address(address, tmp_path):
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
    for name in published:  # nothing is, before the address is known to be one
        needed = services[name]["depends_on"]
        assert {"address", "postgres"} & {*needed}, name
    for name in ("postgres", "objects"):
        how = services[name]["depends_on"]["address"]["condition"]
        assert how == "service_completed_successfully"
    postgres = services["postgres"]
    assert "--ssl=on" in postgres["command"]
    assert {row["source"] for row in postgres["secrets"]} == {
        "postgres_cert",
        "postgres_key",
    }
    hosts = services["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {f"{address}:*", "control:*"} < set(hosts)


def test_nobody_enters_postgresql_from_another_machine_without_tls_and_a_password():
    text = (INFRA / "postgres" / "pg_hba.conf").read_text(encoding="utf-8")
    rows = [row.split() for row in text.splitlines() if not row.startswith("#")]
    assert rows.pop(0) == ["local", "all", "all", "trust"]
    assert {(row[0], row[-1]) for row in rows} == {("hostssl", "scram-sha-256")}
    assert [row[1:4] for row in rows if row[3] != "samenet"] == [
        ["headrace", "headrace", "all"]
    ]
    command = yaml.safe_load(TWO_MACHINES.read_text("utf-8"))["services"]["postgres"]
    (mounted,) = command["volumes"]
    target = mounted.split(":")[1]
    assert f"--hba_file={target}" in command["command"]


def test_a_flow_in_a_container_of_its_own_is_not_asked_for_a_workers_page():
    """Docker would call it unhealthy; the workers of compose have a check."""
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    workers = [s for s in stages if s.split("\n")[0].endswith(("worker", "cpu", "gpu"))]
    assert len(workers) == 3
    assert not any(re.search("^HEALTHCHECK", text, re.MULTILINE) for text in workers)
    for name in WORKERS:
        assert ":8080/health" in SERVICES[name]["healthcheck"]["test"][-1]


def test_links_are_those_that_a_browser_can_open():
    for name in (*WORKERS, "cli"):
        variables = SERVICES[name]["environment"]
        for url, port in (("PREFECT_UI_URL", 4200), ("HEADRACE_MLFLOW_UI_URL", 5000)):
            assert f"127.0.0.1:${{{url.split('_')[-3]}_PORT:-{port}}}" in variables[url]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_says_how_it_lives(name):
    service = SERVICES[name]
    assert service["restart"] == {
        "cli": "no",
        "buckets": "on-failure",
        "users": "on-failure",
    }.get(name, "unless-stopped")
    if name in ONE_SHOT:
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), port
    if "build" in service or "prefect" in service["image"]:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


def test_nothing_says_latest_or_names_a_secret():
    for path in INFRA.rglob("*"):
        if not path.is_file() or path.suffix == ".pyc" or path.name == ".env":
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            assert not re.search(r":\S*latest\b", text), path
        assert not re.search(r"://[^/\s:@]+:[^/\s@<]+@", text), path
        assert "kind: Secret" not in text, path


@pytest.mark.parametrize("place", environments())
def test_a_secret_comes_from_outside(place):
    for name, value in environments()[place].items():
        if SECRET.search(name) and not name.endswith(("_SECRET_NAME", "_SECRET_KEY")):
            if place.startswith("compose "):
                assert value.startswith("${") or "admin:${" in value, name
            else:  # that of the pool's worker
                assert value == f"{{{{ ${name} }}}}", (place, name)


def test_the_example_has_no_value_and_is_what_compose_asks_for():
    text = COMPOSE.read_text(encoding="utf-8") + TWO_MACHINES.read_text("utf-8")
    assert set(example()) == set(re.findall(r"\$\{(\w+)", text))
    assert {name for name, value in example().items() if value} == PRESET
    assert not any(SECRET.search(name) for name in OPTIONAL)


def test_a_read_only_service_has_its_configuration_from_files():
    """Compose cannot put content into a container whose root is read-only."""
    sources = {**PRODUCT["configs"], **PRODUCT["secrets"]}
    given = 0
    for name, service in SERVICES.items():
        rows = [*service.get("configs", []), *service.get("secrets", [])]
        for row in rows if service.get("read_only") else []:
            source = sources[row if isinstance(row, str) else row["source"]]
            assert set(source) == {"file"}, name
            given += 1
    assert given == 4
    assert (INFRA / PRODUCT["configs"]["mlflow"]["file"]).is_file()


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


@pytest.mark.parametrize("name", ["docker", "gpu-docker"])
def test_a_container_of_a_run_is_given_what_a_worker_of_compose_has(name, monkeypatch):
    from prefect.workers.base import BaseJobConfiguration

    pool = json.loads((INFRA / "pools" / f"{name}.json").read_text(encoding="utf-8"))
    job = pool["job_configuration"]
    own = SERVICES["worker-docker"]["environment"]
    for variable in own:
        monkeypatch.setenv(variable, f"the worker's {variable}")
    make = BaseJobConfiguration.from_template_and_values
    given = asyncio.run(make(pool, {}, client=object())).env
    # Prefect's worker hands on its own, but not its folder.
    assert given.pop("PREFECT_HOME") == "/var/lib/headrace/prefect"
    assert given == {
        variable: f"the worker's {variable}"
        for variable in own
        if not variable.startswith("PREFECT_")
    }
    project = PRODUCT["name"]
    networks = [f"{project}_{n}" for n in SERVICES["worker-cpu"]["networks"]]
    assert job["networks"] == networks
    (volume,) = job["volumes"]
    assert volume == f"{project}_{SERVICES['worker-cpu']['volumes'][1]}"
