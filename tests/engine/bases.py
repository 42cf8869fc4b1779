"""The images that `infra/` builds on, made here, since no registry is asked for them.

What stands in for what is in the folder `bases`, a file for each repository.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from tests.engine.daemon import ask

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent / "bases"
DEBIAN = "debian:trixie-slim"
BOOTSTRAP = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates,openssl"]
S3RVER = "s3rver@3.7.1"


def wanted():
    """The names of the images that `infra/` names and does not build."""
    text = (ROOT / "infra" / "images" / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    bases = [
        b for b in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if b not in stages
    ]
    file = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text("utf-8"))
    services = file["services"].values()
    built = {service["image"] for service in services if "build" in service}
    used = [service["image"] for service in services]
    return [image for image in dict.fromkeys([*bases, *used]) if image not in built]


def make_bases(engine):
    """Make what is missing or has another recipe; layers that are there are used."""
    make_debian(engine)
    contexts = {
        "python": python_folder(),
        "certificates": certificates_folder(),
        "modules": modules_folder(engine.data.parent),
        "repository": ROOT,
    }
    for image in wanted():
        repository, tag = image.split(":")
        file = HERE / f"{repository.rpartition('/')[2]}.Dockerfile"
        text = file.read_text(encoding="utf-8")
        command = ["build", "--quiet", "--file", str(file), "--tag", image]
        for name in re.findall(r"--from=(\w+)", text):
            if name in contexts:
                command += ["--build-context", f"{name}={contexts[name]}"]
        for name, value in {"TAG": tag, "INDEX": index()}.items():
            if f"ARG {name}" in text and value:
                command += ["--build-arg", f"{name}={value}"]
        engine.docker(*command, str(HERE))


def make_debian(engine):
    """Debian's smallest system, from its packages."""
    recipe = hashlib.sha256(" ".join([*BOOTSTRAP, DEBIAN]).encode()).hexdigest()[:16]
    label = '{{ index .Config.Labels "recipe" }}'
    said = engine.run("docker", "inspect", "-f", label, DEBIAN, check=False)
    if said.stdout.strip() == recipe:
        return
    archive = engine.folder / "debian.tar"
    made = ask(*BOOTSTRAP, "trixie", archive)
    if made.returncode != 0:
        pytest.skip(f"no Debian could be made: {made.stderr[-500:]}")
    engine.docker("import", "--change", f"LABEL recipe={recipe}", archive, DEBIAN)
    archive.unlink()


def python_folder():
    """Where this machine has a Python 3.12 that can be copied."""
    home = Path.home()
    found = [
        sys.executable,
        shutil.which("python3.12") or "",
        *sorted(home.glob(".pyenv/versions/3.12*/bin/python3.12")),
        *sorted(home.glob(".local/share/uv/python/cpython-3.12*/bin/python3.12")),
    ]
    question = "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)"
    for program in filter(None, found):
        version, _, folder = ask(program, "-c", question).stdout.strip().partition(" ")
        # Debian's own is spread over /usr.
        if version == "3.12" and folder != "/usr":
            return folder
    pytest.skip("needs a Python 3.12 outside of /usr, as pyenv or uv install it")


def certificates_folder():
    """Where what this machine trusts is, in one file of Debian's name."""
    folder = Path("/etc/ssl/certs")
    if not (folder / "ca-certificates.crt").exists():
        pytest.skip(f"needs {folder}/ca-certificates.crt")
    return folder


def modules_folder(cache):
    """s3rver and what it needs, in a folder of the cache."""
    folder = cache / S3RVER
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-save"]
        done = ask(*command, "--prefix", folder, S3RVER)
        if done.returncode != 0:
            pytest.skip(f"{S3RVER} could not be had: {done.stderr[-500:]}")
        (folder / "done").touch()
    return folder


def index():
    """The index of Python packages that this machine names, if it names one."""
    if "PIP_INDEX_URL" in os.environ:
        return os.environ["PIP_INDEX_URL"]
    said = ask(sys.executable, "-m", "pip", "config", "get", "global.index-url")
    return said.stdout.strip()
