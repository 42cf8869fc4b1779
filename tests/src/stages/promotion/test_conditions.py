"""Promotion where the law wants a signature: what counts as signed, and what not."""

import hashlib

import pytest
from tests.signing import write_keys
from tests.src.state.ledger.conftest import some_evidence

from headrace.errors import IntegrityError, UsageError
from headrace.settings import Settings
from headrace.stages.promotion.conditions import (
    is_wanted,
    require_signed,
    sign_if_wanted,
)
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.store import Store

pytest.importorskip("model_signing")
MODEL, GOLDEN, OTHER = b"weights", b"answers", b"flavors: {}"


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
def keys(tmp_path):
    return write_keys(tmp_path / "keys")


def test_only_the_file_of_the_pipeline_decides(world):
    world.judge(signed=False)
    home = Home(world.settings)
    assert not is_wanted(world.version, world.ledger)
    sign_if_wanted(world.version, home)
    require_signed(world.version, home)
    assert not world.store.names("signatures")
    world.judge(signed=True)
    assert is_wanted(world.version, world.ledger)
    with pytest.raises(IntegrityError, match="digits version 1 is not signed") as no:
        require_signed(world.version, home)
    assert "headrace promote digits 1" in no.value.action
    with pytest.raises(UsageError, match="no key is set"):
        sign_if_wanted(world.version, home)


def test_a_signed_version_counts_for_whoever_has_the_public_key(world, keys):
    world.judge(signed=True)
    sign_if_wanted(world.version, Home(world.with_keys(signing_key_file=keys[0])))
    reader = Home(world.with_keys(verify_key_file=keys[1]))
    require_signed(world.version, reader)
    sign_if_wanted(world.version, reader)  # it is signed: no key is needed
    with pytest.raises(UsageError, match="no key is set"):
        require_signed(world.version, Home(world.settings))


def test_what_is_not_as_it_was_signed_does_not_count(world, keys, tmp_path):
    world.judge(signed=True)
    sign_if_wanted(world.version, Home(world.with_keys(signing_key_file=keys[0])))
    other = world.with_keys(verify_key_file=write_keys(tmp_path / "other")[1])
    with pytest.raises(IntegrityError, match="does not hold: Key mismatch"):
        require_signed(world.version, Home(other))
    reader = Home(world.with_keys(verify_key_file=keys[1]))
    key = f"signatures/{sha(MODEL)}.sig"
    signature = world.store.read(key)
    world.store.write(key, signature[:-9] + b" " + signature[-8:])
    with pytest.raises(IntegrityError, match="does not hold"):
        require_signed(world.version, reader)
    world.store.delete(key)
    with pytest.raises(IntegrityError, match="is not signed"):
        require_signed(world.version, reader)


def test_a_copy_that_was_changed_is_not_signed(world, keys):
    world.judge(signed=True)
    world.store.write(f"{world.copy}/logged/MLmodel", b"loader_module: evil")
    signer = world.with_keys(signing_key_file=keys[0])
    with pytest.raises(IntegrityError, match="MLmodel is gone or changed"):
        sign_if_wanted(world.version, Home(signer))
    assert not world.store.names("signatures")
