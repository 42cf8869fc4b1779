"""``infra/images/``: the images have what the lock says, and run without rights."""

import os
import re
from importlib.metadata import requires, version
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from headrace.settings import Settings
from headrace_ops.run_server import configure

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
DOCKERFILE = (INFRA / "images" / "Dockerfile").read_text(encoding="utf-8")
SERVICES = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))["services"]


def test_every_image_is_an_exact_version_of_the_lock():
    images = {name: service["image"] for name, service in SERVICES.items()}
    own = f"headrace:{version('headrace')}-"
    built = [images[name] for name in SERVICES if "build" in SERVICES[name]]
    assert len(built) == len(set(built))
    assert set(built) == {image for image in images.values() if image.startswith(own)}
    for name, image in images.items():
        if "build" in SERVICES[name]:
            assert image == own + SERVICES[name]["build"]["target"], name
        assert re.search(r":[0-9]+\.[0-9]+[0-9a-z.-]*$", image), (name, image)
    tag = f"{version('prefect')}-python3.12"
    assert images["prefect"] == f"prefecthq/prefect:{tag}"
    values = INFRA / "kubernetes" / "values"
    server = yaml.safe_load((values / "prefect-server.yaml").read_text())
    assert server["global"]["prefect"]["image"]["prefectTag"] == tag
    worker = yaml.safe_load((values / "prefect-worker.yaml").read_text())
    assert worker["worker"]["image"]["prefectTag"] == f"{tag}-kubernetes"
    kinds = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text())
    for row in kinds["images"]:
        assert f"{row['newName']}:{row['newTag']}" == own + row["name"].split("-")[1]
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE)
    outside = {base for base in bases if base not in stages}
    assert all(re.fullmatch(r"python:3\.12\.\d+-slim-\w+", base) for base in outside)


def test_an_image_tells_prefect_what_a_command_would(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", dict(os.environ))
        configure(Settings(project=tmp_path))
        told = {n: v for n, v in os.environ.items() if n.startswith("PREFECT_")}
    # Where the home is, and what keeps a terminal quiet, is not for a container.
    told = {n: v for n, v in told.items() if "_HOME" not in n and "_LOGGING_" not in n}
    said = dict(re.findall(r"(PREFECT_\w+)=(\S+)", DOCKERFILE))
    assert told.items() <= said.items()
    assert "PREFECT_CLIENT_RETRY_EXTRA_CODES" in told


def test_the_images_own_lock_is_what_the_extras_ask_for():
    text = (INFRA / "images" / "images.lock").read_text(encoding="utf-8")
    rows = re.findall(r"^([\w.-]+)==(\S+)(.*(?:\n .*)*)", text, re.MULTILINE)
    pinned = {name: number for name, number, _ in rows}
    assert all("--hash=sha256:" in hashes for _, _, hashes in rows)
    assert "://" not in text
    extras = (("tensorflow", "and-cuda"), ("mlflow", "auth"), ("prefect", "docker"))
    for name, extra in extras:
        for said in map(Requirement, requires(name) or []):
            if said.marker and not said.marker.evaluate({"extra": ""}):
                if said.marker.evaluate({"extra": extra}):
                    assert pinned[said.name.lower()] in said.specifier, said
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not set(pinned) & set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
