"""The token and the names of a server that runs in a container."""

import os
import tempfile
from pathlib import Path

import pytest

from headrace.errors import UsageError
from headrace.serving.doors import read_token
from headrace.serving.options import Options
from headrace.serving.replies import HttpError
from headrace.serving.starting import _doors_of
from headrace.settings import Settings

TOKEN = "0123456789abcdef" * 2
USER = 10001


@pytest.fixture
def secret():
    """A file of root's and of the pod's group, read by a process of the pod's user."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "token"
        file.write_text(TOKEN, encoding="ascii")
        file.parent.chmod(0o755)
        os.chown(file, 0, USER)
        os.setegid(USER)
        os.seteuid(USER)
        try:
            yield file
        finally:
            os.seteuid(0)
            os.setegid(0)


@pytest.mark.parametrize(("mode", "is_taken"), [(0o440, True), (0o444, False)])
def test_a_mounted_secret_is_roots_and_readable_by_the_group(secret, mode, is_taken):
    os.seteuid(0)
    secret.chmod(mode)
    os.seteuid(USER)
    if is_taken:
        assert read_token(secret) == TOKEN
    else:
        with pytest.raises(UsageError, match="0444"):
            read_token(secret)


def test_a_file_of_ones_own_is_not_for_the_group(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN, encoding="ascii")
    file.chmod(0o440)
    with pytest.raises(UsageError, match="0440"):
        read_token(file)


def test_the_names_of_a_proxy_are_let_in():
    settings = Settings(serve_hosts="models.example.com, serve.headrace.svc")
    doors, _ = _doors_of(Options(["digits"]), settings)
    for name in (b"models.example.com", b"serve.headrace.svc:443", b"localhost:8080"):
        doors.check("GET", {b"host": name}, needs_token=False)
    with pytest.raises(HttpError):
        doors.check("GET", {b"host": b"example.com"}, needs_token=False)
