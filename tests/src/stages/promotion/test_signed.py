"""Promotion where the law wants a signature: what counts as signed, and what not."""

import hashlib

import pytest
from tests.signing import write_keys
from tests.src.state.ledger.conftest import some_evidence

from headrace.errors import IntegrityError
from headrace.models.logged.soundness.signing import sign_version
from headrace.settings import Settings
from headrace.stages.promotion.signed import find_flaw, is_wanted, require_signed
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.store import Store

pytest.importorskip("model_signing")
MODEL, GOLDEN, OTHER = b"weights", b"answers", b"flavors: {}"


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """The store that is asked before a first signature is not the checkout's."""
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))


def sha(data):
    return hashlib.sha256(data).hexdigest()


class World:
    """A version whose files have a copy in the store."""

    def __init__(self, folder):
        self.settings = Settings(project=folder, home=folder / "home")
        (folder / "home").mkdir()
        self.store = Store(self.settings.store)
        self.copy = f"models/{sha(MODEL)}"
        self.store.write(f"{self.copy}/logged/data/model.keras", MODEL)
        self.store.write(f"{self.copy}/logged/MLmodel", OTHER)
        self.store.write(f"{self.copy}/golden.npz", GOLDEN)
        files = {"data/model.keras": sha(MODEL), "MLmodel": sha(OTHER)}
        self.ledger = Ledger(self.settings.database_url)
        self.version = self.ledger.add_version(
            Version(
                model="digits",
                version=1,
                training="t1",
                run_id="run1",
                model_uri="models:/m-1",
                model_digest=sha(MODEL),
                weights_digest="w",
                snapshot_digest="s",
                created_by="ada@lab",
                details={"golden_digest": sha(GOLDEN), "files": files},
            )
        )

    def with_keys(self, **values):
        texts = {name: str(value) for name, value in values.items()}
        return self.settings.model_copy(update=texts)

    def judge(self, *, signed):
        law = {"committed": {"promotion": {"signed": True} if signed else {}}}
        self.ledger.add_evidence(some_evidence(1, law=law))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def keys(tmp_path, monkeypatch):
    """Keys; the private one signs the ledger from now on."""
    private, public = write_keys(tmp_path / "keys")
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    return private, public


def test_only_the_law_of_the_file_decides(world):
    world.judge(signed=False)
    assert not is_wanted(world.version, world.ledger)
    require_signed(world.version, Home(world.settings))
    world.judge(signed=True)
    assert is_wanted(world.version, world.ledger)
    with pytest.raises(IntegrityError, match="wants a signed version") as raised:
        require_signed(world.version, Home(world.settings))
    assert "no key is set whose signature would count" in raised.value.message


def test_a_signed_version_counts_for_whoever_has_the_public_key(world, keys):
    world.judge(signed=True)
    reader = world.with_keys(verify_key_file=keys[1])
    unsigned = find_flaw(world.version, Home(reader))
    assert unsigned == "digits version 1 is not signed."
    signer = world.with_keys(signing_key_file=keys[0])
    assert sign_version(world.version, Home(signer))
    assert not sign_version(world.version, Home(signer)), "it is signed"
    assert find_flaw(world.version, Home(reader)) == ""
    require_signed(world.version, Home(reader))


def test_what_is_not_as_it_was_signed_does_not_count(world, keys, tmp_path):
    signer = world.with_keys(signing_key_file=keys[0])
    sign_version(world.version, Home(signer))
    other = world.with_keys(verify_key_file=write_keys(tmp_path / "other")[1])
    assert "signed by another key" in find_flaw(world.version, Home(other))
    golden = {**world.version.details, "golden_digest": "f" * 64}
    changed = world.version.model_copy(update={"details": golden})
    flaw = find_flaw(changed, Home(signer))
    assert flaw == "digits version 1 is signed with another content of golden.npz."
    key = f"signatures/{sha(MODEL)}.sig"
    signature = world.store.read(key)
    world.store.write(key, signature.replace(b"MEUC", b"MEUD").replace(b"a", b"b"))
    assert "is not signed" in find_flaw(world.version, Home(signer))
    world.store.delete(key)
    assert "is not signed" in find_flaw(world.version, Home(signer))


def test_a_copy_that_was_changed_is_not_signed(world, keys, caplog):
    world.store.write(f"{world.copy}/logged/MLmodel", b"loader_module: evil")
    signer = world.with_keys(signing_key_file=keys[0])
    with caplog.at_level("WARNING", "headrace"):
        assert not sign_version(world.version, Home(signer))
    assert "MLmodel is gone or changed" in caplog.text
    assert not world.store.names("signatures")


def test_without_a_key_nothing_is_signed(world):
    assert not sign_version(world.version, Home(world.settings))
    assert not world.store.names("signatures")
