"""``make setup`` behind a proxy that inspects TLS: its certificate is the system's."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_setup_trusts_whom_the_system_trusts(tmp_path):
    store = tmp_path / "bundle.crt"
    store.touch()
    said = subprocess.run(
        ["make", "--print-data-base", "--dry-run", "venv"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(store)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"CERTIFICATES := {store}\n" in said
    assert "UV_SYSTEM_CERTS = true\n" in said
    assert f'PIP_CERT="{store}"' in said
