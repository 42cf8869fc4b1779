"""Runs, promotions and bundles with signatures, by the command line."""

import pytest
from tests.homes import Home
from tests.signing import write_keys

pytest.importorskip("model_signing")


def test_only_a_signed_version_is_promoted_where_the_law_says_so(
    home, tmp_path, monkeypatch
):
    strict = home.with_law(tmp_path / "strict", promotion="{ signed = true }")
    for command in (["run", "blobs"], ["check", "blobs"]):
        refused = strict.headrace(*command, "--json")
        assert refused.exit_code == 2
        assert "promotion.signed is true, but no key is set" in refused.json["reason"]
    private, public = write_keys(tmp_path / "keys")
    monkeypatch.setenv("HEADRACE_VERIFY_KEY_FILE", str(public))
    unsigned = strict.headrace("run", "blobs", "--json")
    assert unsigned.exit_code == 1, unsigned.out + unsigned.err
    assert unsigned.json["status"] == "refused"
    assert "promotion.signed: The ledger is not as it" in unsigned.json["reason"]
    by_force = ["promote", "blobs", "1", "--force", "--reason", "now", "--json"]
    assert strict.headrace(*by_force).exit_code == 1
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    signed = strict.headrace("run", "blobs", "--json")
    assert signed.json["status"] == "promoted", signed.out + signed.err
    answers = [unsigned, signed]
    found = strict.headrace("verify", "--json")
    assert found.exit_code == 0, found.out
    assert found.json["signatures"]["status"] == "checked"
    assert found.json["signatures"]["first"] > 1, "the first rows had no key"
    answers.append(found)

    monkeypatch.delenv("HEADRACE_SIGNING_KEY_FILE")
    output = tmp_path / "blobs-1.tar"
    packed = strict.headrace("bundle", "blobs", "--output", str(output), "--json")
    assert packed.exit_code == 2
    assert "wants a signature" in packed.json["reason"]
    assert not output.exists()
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    packed = strict.headrace("bundle", "blobs", "--output", str(output), "--json")
    assert packed.exit_code == 0, packed.out + packed.err
    answers.append(packed)
    secret = private.read_text().splitlines()[1]
    assert not [answer for answer in answers if secret in answer.out + answer.err]
    files = (path for path in home.path.rglob("*") if path.is_file())
    assert not [path for path in files if secret.encode() in path.read_bytes()]

    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "nowhere"))
    monkeypatch.delenv("HEADRACE_SIGNING_KEY_FILE")
    monkeypatch.delenv("HEADRACE_VERIFY_KEY_FILE")
    elsewhere = Home(tmp_path / "nowhere", tmp_path)
    checked = elsewhere.headrace("verify", str(output), "--json")
    assert (checked.exit_code, checked.json["signature"]) == (0, "not checked")
    by_key = ["verify", str(output), "--key", str(public), "--json"]
    assert elsewhere.headrace(*by_key).json["signature"] == "valid"
    data = bytearray(output.read_bytes())
    data[len(data) // 2] ^= 1
    output.write_bytes(data)
    changed = elsewhere.headrace("verify", str(output), "--json")
    assert (changed.exit_code, changed.json["status"]) == (1, "broken")
    assert not (tmp_path / "nowhere").exists()


def test_a_key_that_cannot_be_used_is_reported_before_anything_starts(
    home, tmp_path, monkeypatch
):
    private, _ = write_keys(tmp_path)
    private.chmod(0o644)
    monkeypatch.setenv("HEADRACE_SIGNING_KEY_FILE", str(private))
    for command in (["run", "blobs"], ["check", "blobs"]):
        refused = home.headrace(*command, "--json")
        assert refused.exit_code == 2
        assert "can access the signing key" in refused.json["reason"]
    assert not (home.path / "headrace.db").exists()


def test_an_unsigned_bundle_says_so(after_first, tmp_path):
    output = tmp_path / "blobs.tar"
    packed = after_first.headrace("bundle", "blobs/1", "--output", str(output))
    assert packed.exit_code == 0, packed.out + packed.err
    assert "unsigned" in packed.out
    again = after_first.headrace("bundle", "blobs/1", "--output", str(output))
    assert again.exit_code == 2
    assert "exists" in again.err
    checked = after_first.headrace("verify", str(output), "--json")
    assert (checked.exit_code, checked.json["signature"]) == (0, "unsigned")
    _, public = write_keys(tmp_path)
    strict = after_first.headrace("verify", str(output), "--key", str(public))
    assert strict.exit_code == 1
    assert "is unsigned, and a key is set" in strict.out
    absent = after_first.headrace("verify", str(tmp_path / "absent.tar"))
    assert absent.exit_code == 2
