"""Two machines: the units are systemd's, and the guide names what compose asks for."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from tests.repo.docs_blocks import ROOT, blocks_of

INFRA = ROOT / "infra"
UNITS = sorted((INFRA / "systemd").glob("*.service"))
GUIDE = ROOT / "docs" / "guides" / "compose.md"
SERVICES = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))["services"]
TWO_MACHINES = yaml.safe_load((INFRA / "compose.two-machines.yaml").read_text("utf-8"))


def analyze(*arguments, folder):
    """What ``systemd-analyze`` says of a folder's units: its exit code and words."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs the program systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path):
    """The units as on a machine that has the programs and Docker's unit."""
    for unit in UNITS:
        text = re.sub(r"(?<=Exec)(\w+)=\S+", rf"\1={sys.executable}", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    (tmp_path / "docker.service").write_text(f"[Service]\nExecStart={sys.executable}\n")
    return tmp_path


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_takes_the_unit(unit, installed):
    said = analyze("verify", str(installed / unit.name), folder=installed)
    assert said == (0, "")


@pytest.mark.parametrize("name", ["worker", "serve"])
def test_a_unit_has_no_more_rights_than_it_needs(installed, name):
    unit = installed / f"headrace-{name}.service"
    code, said = analyze(
        "security", "--offline=true", "--threshold=30", str(unit), folder=installed
    )
    assert code == 0, said
    text = unit.read_text()
    assert "\nUser=headrace\n" in text
    assert re.search(rf"\nEnvironmentFile=-?/etc/headrace/{name}\.env\n", text)


def variables(title):
    """Those of the guide's block that begins with a title."""
    (block,) = [b for b in blocks_of(GUIDE) if b.text.startswith(f"# {title}")]
    return dict(row.split("=", 1) for row in block.text.splitlines()[1:])


def test_a_worker_elsewhere_has_the_variables_of_one_in_compose():
    here = variables("/etc/headrace/worker.env")
    there = SERVICES["worker-cpu"]["environment"]
    # Links and messages are the servers' matter.
    own = {"HEADRACE_NOTIFY", "HEADRACE_MLFLOW_UI_URL", "PREFECT_UI_URL"}
    assert set(here) == set(there) - own | {"PGSSLMODE", "PGSSLROOTCERT"}
    for name, value in here.items():
        if name in there:
            compose = re.sub(r"\$\{(\w+):\?\}", r"<\1>", there[name])
            places = re.sub("postgres(?=:5432)|objects|mlflow|prefect", "", compose)
            assert value.replace("control", "") in (compose, places), name
    assert variables("infra/.env").items() >= {
        ("PRIVATE_ADDRESS", "10.9.0.1"),
        ("PRIVATE_NAME", "control"),
    }


def said_of_address(address):
    """How the service `address` ends, and its words."""
    service = TWO_MACHINES["services"]["address"]
    command = [*service["entrypoint"], *service["command"]]
    done = subprocess.run(
        [word.replace("$$", "$") for word in command],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PRIVATE_ADDRESS": address},
    )
    return done.returncode, done.stderr


IPV6 = "an address of IPv6, which would hide from PostgreSQL who comes"
REFUSED = {
    "0.0.0.0": "which would publish the servers in all networks of this machine",
    "[fd00::1]": IPV6,
}


@pytest.mark.parametrize(("address", "why"), REFUSED.items())
def test_an_address_of_all_networks_or_of_ipv6_is_refused(address, why):
    said = f"PRIVATE_ADDRESS in infra/.env is {address}, {why}: set it to its IPv4"
    code, words = said_of_address(address)
    assert code == 1
    assert words.startswith(said)


def firewall():
    """The guide's rules."""
    (block,) = [b for b in blocks_of(GUIDE) if "table inet" in b.text]
    return block


def test_the_firewall_guards_what_is_published(tmp_path):
    block = firewall()
    text = (INFRA / "compose.two-machines.yaml").read_text(encoding="utf-8")
    published = set(re.findall(r":-(\d+)\}:\d+\"", text))
    ports = re.search(r"dport \{(.*)\} drop", block.text)[1]
    assert set(ports.replace(",", " ").split()) == published
    if shutil.which("nft") is None or os.geteuid() != 0:
        pytest.skip("needs root and the program nft")
    file = tmp_path / "headrace.nft"
    file.write_text(block.text)
    done = subprocess.run(
        ["nft", "--check", "--file", str(file)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
