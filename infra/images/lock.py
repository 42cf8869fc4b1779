"""Make images.lock: what the images have beyond requirements.lock, pinned with hashes.

These are CUDA, for the gpu target, what MLflow's basic-auth app needs, for the mlflow
target, and Prefect's Docker worker, for the pool target. On a developer's machine they
would be 3 GB for nothing. Needs a network.
"""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXTRAS = (("tensorflow", "and-cuda"), ("mlflow", "auth"), ("prefect", "docker"))


def wanted() -> list[str]:
    """The extras' own requirements, as the installed versions state them."""
    found = []
    for name, extra in EXTRAS:
        for text in requires(name) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker and not marker.evaluate({"extra": ""}):
                if marker.evaluate({"extra": extra}):
                    requirement.marker = None
                    found.append(str(requirement))
    return found


def main() -> None:
    """Resolve them together with requirements.lock, and keep what is new."""
    lock = ROOT / "requirements.lock"
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet"]
    command += ["--constraint", str(lock), "--python-version", "3.12"]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--generate-hashes"]
    command += ["--no-annotate", "--no-header", "--no-emit-index-url"]
    resolved = subprocess.run(  # noqa: S603
        command, input="\n".join(wanted()), check=True, capture_output=True, text=True
    ).stdout
    locked = set(re.findall(r"^([\w.-]+)==", lock.read_text("utf-8"), re.MULTILINE))
    blocks = re.findall(r"^[\w.-]+==.*(?:\n .*)*", resolved, re.MULTILINE)
    new = [block for block in blocks if block.split("==")[0] not in locked]
    text = "# Made by infra/images/lock.py\n" + "\n".join(new) + "\n"
    (HERE / "images.lock").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
