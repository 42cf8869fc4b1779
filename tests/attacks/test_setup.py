"""``make setup`` behind a proxy that inspects TLS: its certificate is the system's."""

import base64
import datetime
import functools
import hashlib
import http.server
import os
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).resolve().parents[2]
STORE = Path("/etc/ssl/certs/ca-certificates.crt")
UV = Path(sys.executable).with_name("uv")
APART = ["unshare", "--map-root-user", "--mount", "--user"]
BACKEND = """
import zipfile

METADATA = "Metadata-Version: 2.1\\nName: project\\nVersion: 1\\n"
WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"

def build_editable(folder, config=None, metadata=None):
    name, info = "project-1-py3-none-any.whl", "project-1.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", METADATA)
        wheel.writestr(f"{info}/WHEEL", WHEEL)
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


def _may_mount():
    if not (shutil.which("unshare") and shutil.which("make") and STORE.is_file()):
        return False
    command = [*APART, "mount", "--bind", "/dev/null", str(STORE)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not _may_mount() or not UV.is_file(),
    reason="takes make, uv, Debian's certificates and the right to mount a file apart",
)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer):
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name("the proxy"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),
            critical=False,
        )
    )


def write_certificates(folder):
    """The certificate of an authority, and a server's key and certificate by it."""
    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    basic = x509.BasicConstraints(ca=True, path_length=None)
    own = certificate("the proxy", authority, authority)
    own = own.add_extension(basic, critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    theirs = certificate("localhost", server, authority)
    theirs = theirs.add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    key = server.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = folder / "authority.pem", folder / "server.pem"
    files[0].write_bytes(own.sign(authority, hashes.SHA256()).public_bytes(pem))
    chain = theirs.sign(authority, hashes.SHA256()).public_bytes(pem)
    files[1].write_bytes(key + chain)
    return files


def write_wheel(index, package, version, script=""):
    """A package for an index, perhaps with a command; the line of a lock for it."""
    info, tag = f"{package}-{version}.dist-info", "py3-none-any"
    files = {
        f"{package}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\n"
        f"Version: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    if script:
        files[f"{package}-{version}.data/scripts/{package}"] = script
    record = f"{info}/RECORD,,\n"
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        record += f"{path},sha256={digest.decode().rstrip('=')},{len(text)}\n"
    path = index / "simple" / package / f"{package}-{version}-{tag}.whl"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in {**files, f"{info}/RECORD": record}.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = 0o100755 << 16  # pip leaves a script as it is
            wheel.writestr(entry, text)
    path.with_name("index.html").write_text(f'<a href="{path.name}">{path.name}</a>')
    digest_of_all = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{package}=={version} \\\n    --hash=sha256:{digest_of_all}\n    # via\n"


@pytest.fixture
def project(tmp_path):
    """A project of one dependency with our Makefile, and its index beside it."""
    place, index = tmp_path / "project", tmp_path / "index"
    for folder in ("src", "flows"):
        (place / folder).mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", place)
    lock = write_wheel(index, "tiny", "1")
    lock += write_wheel(index, "uv", "9", f'#!/bin/sh\nexec {UV} "$@"\n')
    (place / "requirements.lock").write_text(lock)
    (place / "backend.py").write_text(BACKEND)
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        'backend-path = ["."]\n[project]\nname = "project"\nversion = "1"\n'
    )
    return place


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        """Nothing."""


@pytest.fixture
def index_url(tmp_path, project):
    """The index over TLS, with a certificate by an authority that nobody knows."""
    _, chain = write_certificates(tmp_path)
    handler = functools.partial(_Quiet, directory=str(tmp_path / "index"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


def set_up(project, index, store):
    """``make setup`` on a system with those certificates."""
    bundle = project.parent / "bundle.crt"
    bundle.write_text(store)
    script = f"mount --bind {bundle} {STORE} && exec make PYTHON={sys.executable} setup"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(project.parent),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index,
        "PIP_RETRIES": "0",
        "UV_DEFAULT_INDEX": index,
        "UV_NO_CONFIG": "1",
        "UV_NO_CACHE": "1",
        "UV_HTTP_RETRIES": "0",
    }
    made = subprocess.run(
        [*APART, "sh", "-c", script],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return made.returncode, made.stdout + made.stderr


def test_setup_trusts_whom_the_system_trusts(tmp_path, project, index_url):
    authority = (tmp_path / "authority.pem").read_text()
    code, said = set_up(project, index_url, STORE.read_text() + authority)
    assert code == 0, said
    assert list(project.glob(".venv/lib/*/site-packages/tiny.py"))


def test_setup_trusts_nobody_else(project, index_url):
    code, said = set_up(project, index_url, STORE.read_text())
    assert code != 0
    assert "No matching distribution found for uv" in said
