"""Signed statements on files, made by the library and read without it."""

import base64
import hashlib
import json
import subprocess
import sys

import pytest
from tests.signing import trust, write_keys

from headrace.errors import IntegrityError
from headrace.settings import Settings
from headrace.state.signing.keys import signing_key
from headrace.state.signing.statements import key_of, sign_folder, signed_files

pytest.importorskip("model_signing")
FILES = {"data/model.keras": b"weights", "golden.npz": b"answers"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("signed") / "digits-3"
    for name, data in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(data)
    return made


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return write_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def signature(folder, keys):
    return sign_folder(folder, opened(keys[0]))


def opened(file):
    key = signing_key(Settings(signing_key_file=str(file)))
    assert key is not None
    return key


def test_a_statement_has_the_digest_of_each_file(signature, keys):
    wanted = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    assert signed_files(signature, trust(keys[1]), "it") == wanted
    assert key_of(signature) == opened(keys[0]).id
    assert b"PRIVATE" not in signature


@pytest.mark.system
def test_the_command_line_of_the_library_accepts_it(signature, folder, keys, tmp_path):
    file = tmp_path / "model.sig"
    file.write_bytes(signature)

    def verify():
        words = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
        words += ["--signature", str(file), "--public_key", str(keys[1])]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    done = verify()
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "golden.npz").write_bytes(b"changed")
    assert verify().returncode == 1
    (folder / "golden.npz").write_bytes(FILES["golden.npz"])


def test_the_statement_of_another_key_says_so(signature, tmp_path):
    _, other = write_keys(tmp_path)
    with pytest.raises(IntegrityError, match="it is signed by another key, "):
        signed_files(signature, trust(other), "it")


def test_a_statement_that_was_changed_says_so(signature, keys):
    bundle = json.loads(signature)
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    changed = payload.replace(b"golden.npz", b"golden.npy")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
    with pytest.raises(IntegrityError, match="not of this content"):
        signed_files(json.dumps(bundle).encode(), trust(keys[1]), "it")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"dsseEnvelope": 1}', b"\xff"])
def test_a_file_that_is_no_statement_says_so(data, keys):
    with pytest.raises(IntegrityError, match="The signature of it is damaged"):
        signed_files(data, trust(keys[1]), "it")
