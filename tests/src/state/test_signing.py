"""Signatures of folders: who has the public key sees whether they hold."""

import subprocess
import sys

import pytest
from tests.signing import write_keys

from headrace.errors import IntegrityError, UsageError
from headrace.settings import Settings
from headrace.state import signing
from headrace.state.signing import check_signature, check_signing_key, sign_folder

pytest.importorskip("model_signing")


@pytest.fixture
def keys(tmp_path):
    """Settings for who signs, and for who checks with the public key alone."""
    private, public = write_keys(tmp_path / "keys")
    return Settings(signing_key_file=str(private)), Settings(
        verify_key_file=str(public)
    )


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "digits"
    (made / "data").mkdir(parents=True)
    (made / "data" / "model.keras").write_bytes(b"weights")
    return made


def test_a_signature_holds_for_who_has_the_public_key(keys, folder):
    signer, reader = keys
    check_signature(folder, sign_folder(folder, signer), "digits/1", reader)


def test_the_command_line_of_the_library_checks_it_as_well(keys, folder, tmp_path):
    signer, reader = keys
    (tmp_path / "model.sig").write_bytes(sign_folder(folder, signer))
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(tmp_path / "model.sig")]
    command += ["--public_key", reader.verify_key_file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def change_a_file(folder, signature):
    (folder / "data" / "model.keras").write_bytes(b"Weights")
    return signature


def add_a_file(folder, signature):
    (folder / "more").write_bytes(b"")
    return signature


def change_the_signature(folder, signature):
    place = signature.index(b'"sig":') + 30
    return signature[:place] + b"AAAA" + signature[place + 4 :]


@pytest.mark.parametrize(
    "change",
    [
        change_a_file,
        add_a_file,
        change_the_signature,
        lambda *_: b"",
        lambda *_: b"{}",
    ],
)
def test_what_is_not_as_it_was_signed_is_refused(keys, folder, change):
    signer, reader = keys
    signature = change(folder, sign_folder(folder, signer))
    with pytest.raises(IntegrityError, match="The signature of digits/1 does not hold"):
        check_signature(folder, signature, "digits/1", reader)


def test_another_key_is_refused(keys, folder, tmp_path):
    signature = sign_folder(folder, keys[0])
    other = Settings(verify_key_file=str(write_keys(tmp_path / "other")[1]))
    with pytest.raises(IntegrityError, match="Key mismatch"):
        check_signature(folder, signature, "digits/1", other)


@pytest.mark.parametrize("content", [None, b"no key", b""])
def test_a_key_that_cannot_be_used_is_named_with_its_variable(
    folder, tmp_path, content
):
    file = tmp_path / "key.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=r"key.pem \(HEADRACE_SIGNING_KEY_FILE\)"):
        check_signing_key(Settings(signing_key_file=str(file)))
    with pytest.raises(UsageError, match=r"key.pem \(HEADRACE_VERIFY_KEY_FILE\)"):
        check_signature(folder, b"", "digits/1", Settings(verify_key_file=str(file)))


def test_without_a_key_or_the_library_nothing_is_signed(keys, folder, monkeypatch):
    with pytest.raises(UsageError, match="no key is set") as refused:
        sign_folder(folder, Settings())
    assert "Set HEADRACE_SIGNING_KEY_FILE." in refused.value.action
    monkeypatch.setattr(signing, "_LIBRARIES", ("no_such_library",))
    with pytest.raises(UsageError, match="model-signing, which is not installed"):
        check_signing_key(keys[0])
