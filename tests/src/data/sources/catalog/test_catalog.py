"""What is listed can be had: from a local copy, or downloaded, checked and kept."""

from pathlib import Path

import pytest
from tests.src.data.sources.conftest import (
    GOOD,
    entry,
    failure,
    kept,
    opened,
    pin,
)

from headrace.data.sources.catalog import named as catalog
from headrace.data.sources.catalog import tables
from headrace.data.sources.catalog.named import entries, find_entry
from headrace.data.sources.identity import source_identity
from headrace.data.sources.opening import open_source
from headrace.errors import NotFoundError, UsageError
from headrace.media.chunks import Reading
from headrace.settings import Settings


def _size(one):
    return sum(file.size for file in one.editions[-1].files.values())


def test_what_is_listed_can_be_had_and_used():
    assert list(entries()) == [
        *("sms-spam", "sib200", "tiny-shakespeare", "tang-poems"),
        *("free-spoken-digits", "few-spoken-digits", "mnist"),
    ]
    # One comes with Headrace; of the other, nobody publishes the file.
    not_downloaded = ("few-spoken-digits.parquet", "zh-tang-poems.parquet")
    for one in entries().values():
        assert one.licence in one.attribution
        assert _size(one) > 10_000
        for edition in one.editions:
            assert not edition.table or hasattr(tables, edition.table)
        for name, file in one.editions[-1].files.items():
            assert file.url.startswith("https://") or name in not_downloaded
    assert _size(entries()["sib200"]) == 284_129


@pytest.mark.parametrize(
    ("name", "medium", "rows"),
    [("sms-spam", "text", 5_574), ("few-spoken-digits", "audio", 480)],
)
def test_what_comes_with_headrace_needs_no_network(name, medium, rows, settings):
    reading = Reading(medium=medium, label="label")
    with open_source(f"catalog:{name}", settings, reading) as source:
        chunks = list(source.chunks)
        assert sum(len(chunk.labels) for chunk in chunks) == rows
        assert "CC BY" in source.attribution
        assert source.findings == []
    assert not (settings.home / "data").exists()


def test_a_download_is_checked_and_kept(server, settings):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    source, file = opened(one, settings)
    assert file.read() == GOOD
    assert source.attribution == "Letters by A. Nobody, CC0."
    assert source.findings == []
    assert (settings.home / "data" / "letters" / "a.tsv").read_bytes() == GOOD
    assert opened(one, settings)[1].read() == GOOD
    assert server.asked == ["/a"]


def test_only_files_that_are_not_there_are_fetched(server, settings):
    names = {name: f"{name}!".encode() for name in ("a.tsv", "b.tsv")}
    first = entry({"a.tsv": pin(names["a.tsv"], server.give("/a", names["a.tsv"]))})
    opened(first, settings)
    both = entry(
        {n: pin(data, server.give(f"/{n[0]}", data)) for n, data in names.items()}
    )
    _, tree = opened(both, settings)
    assert {name: file.read() for name, file in tree.files.items()} == names
    assert server.asked == ["/a", "/b"]


def test_a_kept_file_that_was_damaged_is_fetched_again(server, settings):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    opened(one, settings)
    (settings.home / "data" / "letters" / "a.tsv").write_bytes(b"x")
    source, file = opened(one, settings)
    assert file.read() == GOOD
    assert "a.tsv has 1 bytes, not 8: it is not used" in source.findings[0].message
    assert opened(one, settings)[0].findings == []


def test_offline_it_says_what_to_do(server, settings):
    server.stop()
    one = entry({"a.parquet": pin(GOOD)}, {"a.tsv": pin(GOOD, f"{server.url}/a")})
    text = failure(one, settings)
    assert f"downloading {server.url}/a failed: Connection refused." in text
    assert "set HEADRACE_DATA=FOLDER to a folder that holds a.parquet, or a.tsv" in text
    assert "--data PATH" in text


def test_the_preferred_edition_is_taken(server, copies, make):
    files = {"first.tsv": b"first\n", "b.tsv": b"b\n", "c.tsv": b"c\n"}
    first, b, c = (pin(data, f"{server.url}/none") for data in files.values())
    one = entry({"first.tsv": first}, {"b.tsv": b, "c.tsv": c})
    for name in ("c.tsv", "b.tsv"):
        make.file(f"copies/{name}", files[name])
    source, tree = opened(one, copies)
    assert [file.read() for file in tree.files.values()] == [b"b\n", b"c\n"]
    assert source.notes[0].endswith("copies/b.tsv and 1 more")
    make.file("copies/first.tsv", files["first.tsv"])
    assert opened(one, copies)[1].read() == b"first\n"


def test_unknown_names():
    with pytest.raises(NotFoundError, match=r"catalog:SMS-spm. Did you mean .*sms-sp"):
        find_entry("catalog:SMS-spm")
    with pytest.raises(NotFoundError, match=r"Known are catalog:sms-spam, catalog:sib"):
        open_source("catalog:qqq", Settings())
    with pytest.raises(NotFoundError, match=r"There is no data named catalog:qqq"):
        source_identity("catalog:qqq")


def test_the_variable_is_read(monkeypatch):
    monkeypatch.setenv("HEADRACE_DATA", "/data")
    assert Settings().data == Path("/data")
    monkeypatch.setenv("HEADRACE_DATA", "")
    assert Settings().data is None


def test_identity_follows_local_copies_and_not_downloads(
    server, copies, make, monkeypatch
):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    monkeypatch.setattr(catalog, "find_entry", lambda uri: one)
    nothing = catalog.identity(one.uri, copies)
    opened(one, copies)
    assert catalog.identity(one.uri, copies) == nothing
    assert kept(copies) == ["a.tsv"]
    path = make.file("copies/deep/a.tsv", GOOD)
    make.file("copies/deep/other.tsv", GOOD)
    first = catalog.identity(one.uri, copies)
    deeper = copies.model_copy(update={"data": make.folder / "copies" / "deep"})
    assert catalog.identity(one.uri, deeper) == first
    make.file("new", b"ham\tno!\n").replace(path)
    second = catalog.identity(one.uri, copies)
    changed = entry({"a.tsv": pin(b"other")})
    monkeypatch.setattr(catalog, "find_entry", lambda uri: changed)
    other = catalog.identity(one.uri, copies)
    assert len({nothing, first, second, other}) == 4
    assert server.asked == ["/a"]


def test_a_home_that_cannot_be_written(server, settings, make):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    settings.home.mkdir()
    (settings.home / "data").write_bytes(b"")
    with pytest.raises(UsageError, match=r"data/letters cannot be written: .*HEADRACE"):
        opened(one, settings)
