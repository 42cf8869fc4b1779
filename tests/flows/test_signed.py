"""Runs, promotions and bundles with signatures, by the command line."""

import pytest
from tests.homes import Home
from tests.signing import write_keys

pytest.importorskip("model_signing")


def check_elsewhere(output, tmp_path, monkeypatch):
    """A bundle is checked with the public key alone, and without a home."""
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "nowhere"))
    monkeypatch.delenv("HEADRACE_SIGNING_KEY_FILE")
    elsewhere = Home(tmp_path / "nowhere", tmp_path)
    check = ["verify", str(output), "--json"]
    assert elsewhere.headrace(*check).json["signature"] == "valid"
    other = write_keys(tmp_path / "other")[1]
    monkeypatch.setenv("HEADRACE_VERIFY_KEY_FILE", str(other))
    refused = elsewhere.headrace(*check)
    assert (refused.exit_code, refused.json["status"]) == (1, "broken")
    monkeypatch.delenv("HEADRACE_VERIFY_KEY_FILE")
    checked = elsewhere.headrace(*check)
    assert (checked.exit_code, checked.json["signature"]) == (0, "not checked")
    data = bytearray(output.read_bytes())
    data[len(data) // 2] ^= 1
    output.write_bytes(data)
    changed = elsewhere.headrace(*check)
    assert (changed.exit_code, changed.json["status"]) == (1, "broken")
    assert not (tmp_path / "nowhere").exists()


def test_only_a_signed_version_is_promoted_where_the_pipelines_file_says_so(
    home, tmp_path, monkeypatch
):
    strict = home.with_law(tmp_path / "strict", promotion="{ signed = true }")
    for command in (["run", "blobs"], ["check", "blobs"]):
        refused = strict.headrace(*command, "--json")
        assert refused.exit_code == 2
        assert "Nothing can be signed: no key is set" in refused.json["reason"]
    assert not (strict.path / "headrace.db").exists(), "nothing was trained"
    private, public = write_keys(tmp_path / "keys")
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    signed = strict.headrace("run", "blobs", "--json")
    assert signed.json["status"] == "promoted", signed.out + signed.err
    found = strict.headrace("verify", "--json")
    assert found.exit_code == 0, found.out
    assert len([*strict.path.glob("store/signatures/*.sig")]) == 1
    better = ["run", "blobs", "--register-only", "--set", "training.epochs=8", "--json"]
    assert strict.headrace(*better).exit_code == 0
    by_force = ["promote", "blobs", "2", "--force", "--reason", "now", "--json"]
    monkeypatch.delenv("HEADRACE_SIGNING_KEY_FILE")
    unsigned = strict.headrace(*by_force)
    assert unsigned.exit_code == 2, unsigned.out
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    assert strict.headrace(*by_force).exit_code == 0
    back = ["rollback", "blobs", "--reason", "worse", "--json"]
    assert strict.headrace(*back).exit_code == 2, "there is no public key"
    monkeypatch.setenv("HEADRACE_VERIFY_KEY_FILE", str(public))
    monkeypatch.delenv("HEADRACE_SIGNING_KEY_FILE")
    assert strict.headrace(*back).json["version"] == 1

    output = tmp_path / "blobs-1.tar"
    packed = strict.headrace(
        *("export", "blobs", "--evidence", "--output", str(output), "--json")
    )
    assert packed.exit_code == 2
    assert "wants a signature" in packed.json["reason"]
    assert not output.exists()
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    packed = strict.headrace(
        *("export", "blobs", "--evidence", "--output", str(output), "--json")
    )
    assert packed.exit_code == 0, packed.out + packed.err
    secret = private.read_text().splitlines()[1]
    assert not [a for a in (signed, found, packed) if secret in a.out + a.err]
    files = (path for path in home.path.rglob("*") if path.is_file())
    assert not [path for path in files if secret.encode() in path.read_bytes()]

    check_elsewhere(output, tmp_path, monkeypatch)


def test_an_unsigned_bundle_says_so(after_first, tmp_path, monkeypatch):
    output = tmp_path / "blobs.tar"
    packed = after_first.headrace(
        *("export", "blobs/1", "--evidence", "--output", str(output))
    )
    assert packed.exit_code == 0, packed.out + packed.err
    assert "unsigned" in packed.out
    again = after_first.headrace(
        *("export", "blobs/1", "--evidence", "--output", str(output))
    )
    assert again.exit_code == 2
    assert "exists" in again.err
    checked = after_first.headrace("verify", str(output), "--json")
    assert (checked.exit_code, checked.json["signature"]) == (0, "unsigned")
    _, public = write_keys(tmp_path)
    monkeypatch.setenv("HEADRACE_VERIFY_KEY_FILE", str(public))
    strict = after_first.headrace("verify", str(output))
    assert strict.exit_code == 1
    assert "is unsigned, and HEADRACE_VERIFY_KEY_FILE has a key" in strict.out
    absent = after_first.headrace("verify", str(tmp_path / "absent.tar"))
    assert absent.exit_code == 2
