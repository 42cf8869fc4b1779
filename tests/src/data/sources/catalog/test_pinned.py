"""A file is known by its digest: of local copies the right one is used."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.src.data.sources.conftest import (
    GOOD,
    Make,
    Upstream,
    entry,
    failure,
    kept,
    opened,
    pin,
    sha,
    zipped,
)

from headrace.data.sources.identity import source_identity
from headrace.data.sources.opening import open_source
from headrace.errors import NotFoundError, SourceError
from headrace.settings import Settings


def test_a_local_copy_is_used_wherever_it_lies_below(
    server: Upstream, copies: Settings, make: Make
) -> None:
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    for folder in ("copies", "copies/text", "copies/text/letters"):
        settings = copies.model_copy(update={"data": make.folder / folder})
        path = make.file("copies/text/letters/a.tsv", GOOD)
        source, file = opened(one, settings)
        assert file.where == str(path)
        assert source.notes == [f"catalog:letters: {path}"]
    assert server.asked == []


def test_a_copy_of_another_digest_is_told_and_not_used(
    server: Upstream, copies: Settings, make: Make
) -> None:
    one = entry({"a.tsv": pin(GOOD)}, {"b.tsv": pin(GOOD, server.give("/b", GOOD))})
    bad = make.file("copies/a.tsv", b"ham\tno!\n")
    source, file = opened(one, copies)
    assert file.where == str(copies.home.absolute() / "data" / "letters" / "b.tsv")
    (finding,) = source.findings
    assert finding.check == "copy_not_used"
    assert f"{bad} has sha256: {sha(bad.read_bytes())}, not" in finding.message


def test_a_right_copy_beside_a_wrong_one_is_no_news(
    copies: Settings, make: Make
) -> None:
    make.file("copies/z/a.tsv", GOOD)
    make.file("copies/z/z/a.tsv", b"x")
    make.file("copies/.trash/a.tsv", b"y")
    (make.folder / "copies" / "a.tsv").mkdir()
    source, file = opened(entry({"a.tsv": pin(GOOD)}), copies)
    assert file.read() == GOOD
    assert source.findings == []


def test_a_failure_tells_of_copies_that_were_not_used(
    server: Upstream, copies: Settings, make: Make
) -> None:
    one = entry({"a.tsv": pin(GOOD, f"{server.url}/none")})
    path = make.file("copies/a.tsv", b"x" * 1001)
    text = failure(one, copies)
    assert f"no copy is in HEADRACE_DATA={copies.data}" in text
    assert f"({path} has 1,001 bytes, over 1,000)" in text


def test_a_member_of_a_zip(server: Upstream, settings: Settings) -> None:
    url = server.give("/a.zip", zipped({"readme": b"", "a.tsv": GOOD}))
    _, file = opened(entry({"a.tsv": pin(GOOD, url, member="a.tsv")}), settings)
    assert file.read() == GOOD
    assert kept(settings) == ["a.tsv"]


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (zipped({"b.tsv": GOOD}), "what came holds no a.tsv"),
        (zipped({"a.tsv": b"other"}), "what came has sha256"),
        (zipped({"a.tsv": GOOD})[:-9], "what came begins as a zip archive, but"),
        (b"<html>Please log in</html>", "what came begins as a zip archive, but"),
    ],
)
def test_a_zip_without_the_file(
    server: Upstream, settings: Settings, data: bytes, seen: str
) -> None:
    url = server.give("/a.zip", data)
    assert seen in failure(entry({"a.tsv": pin(GOOD, url, member="a.tsv")}), settings)


def test_where_local_copies_are_said_to_be(
    settings: Settings, tmp_path: Path, make: Make
) -> None:
    nowhere = settings.model_copy(update={"data": tmp_path / "nowhere"})
    with pytest.raises(NotFoundError, match=r"HEADRACE_DATA is .*nowhere, and there"):
        open_source("catalog:sms-spam", nowhere)
    with pytest.raises(NotFoundError, match=r"HEADRACE_DATA is .*nowhere, and there"):
        source_identity("catalog:sms-spam", nowhere)
    make.file("many/a", b"")
    make.file("many/b", b"")
    many = {"data": tmp_path / "many", "max_members": 1}
    with pytest.raises(SourceError, match=r"HEADRACE_DATA=.*many holds over 1 files"):
        source_identity("catalog:sms-spam", settings.model_copy(update=many))
