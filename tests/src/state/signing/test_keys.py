"""Keys that are used, and those that are refused in one sentence."""

import base64
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.signing import private_pem, public_pem, trust, write_keys, write_private

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.signing import configuration
from headrace.state.signing.configuration import check_keys
from headrace.state.signing.keys import signing_key, trusted_keys

P256 = ec.generate_private_key(ec.SECP256R1())


def test_no_key_is_set_by_default():
    assert check_keys(Settings())[0] is None
    assert not trusted_keys(Settings())


@pytest.mark.parametrize("form", ["file", "text", "one line"])
def test_a_key_signs_and_its_own_signature_counts(tmp_path, form):
    private, public = write_keys(tmp_path)
    text = private.read_text()
    values = {"signing_key_file": str(private)}
    if form != "file":
        shown = text if form == "text" else text.replace("\n", "\\n")
        values = {"signing_key": shown}
    settings = Settings(**values)
    key = signing_key(settings)
    assert key is not None
    trusted = trusted_keys(settings)
    assert trusted.ids == (key.id,) == trust(public).ids
    signature = key.sign(b"a row")
    assert trusted.accept(key.id, signature, b"a row")
    assert not trusted.accept(key.id, signature, b"another row")
    assert not trusted.accept(key.id, "no base64", b"a row")
    assert not trusted.accept("0" * 64, signature, b"a row")


def test_another_spelling_of_a_signature_does_not_count(tmp_path):
    private, public = write_keys(tmp_path)
    settings = Settings(signing_key_file=str(private))
    key = signing_key(settings)
    assert key is not None
    signatures = (key.sign(str(n).encode()) for n in itertools.count())
    number, signature = next(
        (n, text) for n, text in enumerate(signatures) if text.endswith("==")
    )
    data, trusted = str(number).encode(), trust(public)
    assert trusted.accept(key.id, signature, data)
    other = f"{signature[:-3]}{chr(ord(signature[-3]) + 1)}=="
    assert base64.b64decode(other) == base64.b64decode(signature)
    assert not trusted.accept(key.id, other, data)


def test_keys_of_others_count_beside_ones_own(tmp_path):
    own, _ = write_keys(tmp_path, "own")
    _, first = write_keys(tmp_path, "first")
    _, second = write_keys(tmp_path, "second")
    both = write_private(tmp_path / "both", first.read_bytes() + second.read_bytes())
    settings = Settings(signing_key_file=str(own), verify_key_file=str(both))
    assert len(trusted_keys(settings).ids) == 3
    assert trusted_keys(settings, str(first)).ids == trust(first).ids


P384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)
DAMAGED = private_pem(P256)[:-60] + b"\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("data", "mode", "message"),
    [
        pytest.param(private_pem(P256), 0o640, "can access .*mode 0640", id="group"),
        pytest.param(private_pem(P256), 0o604, "can access .*mode 0604", id="others"),
        pytest.param(private_pem(P384), 0o600, "of the curve secp384r1", id="curve"),
        pytest.param(private_pem(RSA), 0o600, "not one of an elliptic", id="rsa"),
        pytest.param(private_pem(P256, b"pw"), 0o600, "is encrypted", id="encrypted"),
        pytest.param(DAMAGED, 0o600, "is not a private key", id="damaged"),
        pytest.param(public_pem(P256), 0o600, "is not a private key", id="public"),
        pytest.param(b"", 0o600, "is not a private key", id="empty"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(tmp_path, data, mode, message):
    file = write_private(tmp_path / "key.pem", data, mode)
    with pytest.raises(UsageError, match=message) as raised:
        signing_key(Settings(signing_key_file=str(file)))
    assert str(file) in raised.value.message
    assert raised.value.action
    assert_has_no_key(str(raised.value), data)
    if mode == 0o600 and data:
        with pytest.raises(UsageError, match=r"^HEADRACE_SIGNING_KEY is") as raised:
            signing_key(Settings(signing_key=data.decode()))
        assert_has_no_key(str(raised.value), data)


def assert_has_no_key(text, data):
    lines = [line for line in data.decode().splitlines() if len(line) > 40]
    assert not [line for line in lines if line in text]


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        signing_key(Settings(signing_key_file=str(tmp_path / "absent")))
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        signing_key(Settings(signing_key_file=str(tmp_path)))
    text = private_pem(P256).decode()
    with pytest.raises(UsageError, match="takes the path of a file") as raised:
        signing_key(Settings(signing_key_file=text))
    assert_has_no_key(str(raised.value), text.encode())


def test_the_private_key_is_in_no_text_of_the_settings():
    text = private_pem(P256).decode()
    settings = Settings(signing_key=text)
    for shown in (repr(settings), settings.model_dump_json(), str(settings)):
        assert_has_no_key(shown.replace("\\n", "\n"), text.encode())
    assert "signing_key" not in settings.for_child()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (private_pem(P256), "has a private key"),
        (public_pem(P384), "of the curve secp384r1"),
        (public_pem(P256).replace(b"M", b"!"), "no public key in PEM, or a damaged"),
        (b"nothing", "no public key in PEM, or a damaged"),
    ],
)
def test_a_public_key_that_cannot_be_used_is_refused(data, message):
    with pytest.raises(UsageError, match=message) as raised:
        trusted_keys(Settings(verify_key=data.decode()))
    assert_has_no_key(str(raised.value), data)


def test_what_a_run_needs_is_said_before_it(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"promotion.signed is true, but no key"):
        check_keys(Settings(), is_wanted=True)
    private, public = write_keys(tmp_path)
    check_keys(Settings(verify_key_file=str(public)), is_wanted=True)
    monkeypatch.setattr(configuration, "can_sign", lambda: False)
    with pytest.raises(UsageError, match="model-signing is not installed"):
        check_keys(Settings(signing_key_file=str(private)))
