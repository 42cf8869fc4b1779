"""An environment of its own, with this one's packages and a wheel."""

import subprocess
import sys
import venv
from pathlib import Path


def install(wheel, environment):
    """Install a wheel into a new environment, offline; returns its Python.

    The wheel's own packages come before those of the same name here.
    """
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    lib = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = environment / "lib" / lib / "site-packages"
    here = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (packages / "here.pth").write_text(f"import site; site.addsitedir({str(here)!r})\n")
    subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "install", "--python", str(python)),
            *("--no-deps", "--offline", "--quiet", str(wheel)),
        ],
        check=True,
        capture_output=True,
    )
    return python
