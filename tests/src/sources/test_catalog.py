from __future__ import annotations

import hashlib
import http.server
import io
import logging
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from headrace.errors import DependencyError, NotFoundError, SourceError, UsageError
from headrace.settings import Settings
from headrace.sources import catalog, downloads, open_source, upstream
from headrace.sources.catalog import Edition, Entry, entries, find_entry
from headrace.sources.chunks import Source
from headrace.sources.downloads import DownloadError, HttpsOnly
from headrace.sources.files import File
from headrace.sources.identity import source_identity
from headrace.sources.pinned import Pin
from headrace.sources.trees import FileTree

GOOD = b"ham\tyes\n"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@dataclass
class Reply:
    data: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0


class Upstream:
    """A server that stands in for where data comes from."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.asked.append(self.path)
                reply = owner.replies.get(self.path, Reply(b"", 404))
                time.sleep(reply.delay)
                self.send_response(reply.status)
                length = {"Content-Length": str(len(reply.data))}
                for name, value in (length | reply.headers).items():
                    if value:
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def give(self, path: str, data: bytes, **facts: object) -> str:
        self.replies[path] = Reply(data, **facts)  # type: ignore[arg-type]
        return self.url + path

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch) -> Iterator[Upstream]:
    monkeypatch.setenv("no_proxy", "*")
    running = Upstream()
    yield running
    running.stop()


@pytest.fixture
def copies(tmp_path, settings) -> Settings:
    """Settings whose HEADRACE_DATA is a folder without anything in it."""
    (tmp_path / "copies").mkdir()
    return settings.model_copy(update={"data": tmp_path / "copies"})


def pin(data: bytes, url: str = "", **facts: str) -> Pin:
    return Pin(size=len(data), sha256=sha(data), url=url, **facts)


def entry(*editions: dict[str, Pin], table: str = "", limit: int = 1000) -> Entry:
    """An entry; of its editions, the last one needs a table made."""
    *others, last = editions
    return Entry(
        name="letters",
        title="Letters",
        medium="text",
        licence="CC0",
        attribution="Letters by A. Nobody, CC0.",
        homepage="https://example.org",
        editions=(
            *(Edition(files=files) for files in others),
            Edition(files=last, table=table),
        ),
        limit_bytes=limit,
    )


def opened(one: Entry, settings: Settings) -> tuple[Source, File | FileTree]:
    source = Source(kind="", uri=one.uri)
    with source:
        return source, catalog.open_entry(source, settings, one)


def kept(settings: Settings) -> list[str]:
    return sorted(path.name for path in (settings.home / "data").rglob("*.*"))


def test_what_is_listed_can_be_had_and_used():
    assert list(entries()) == ["sms-spam", "sib200", "free-spoken-digits"]
    for one in entries().values():
        assert one.licence in one.attribution
        assert one.bytes > 10_000
        assert one.url.startswith("https://")
        for edition in one.editions:
            assert not edition.table or hasattr(upstream, edition.table)
        for file in one.editions[-1].files.values():
            assert file.url.startswith("https://")
    assert entries()["sib200"].bytes == 284_129


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


def failure(one: Entry, settings: Settings) -> str:
    with pytest.raises(DependencyError, match=r"catalog:letters: no copy is") as seen:
        opened(one, settings)
    assert seen.value.exit_code == 3
    assert kept(settings) == []
    return str(seen.value)


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (Reply(b"ham\tno!\n"), f"what came has sha256: .*, not {sha(GOOD)}"),
        (Reply(b"ham", headers={"Content-Length": "8"}), "cut short: 3 of 8 bytes"),
        (Reply(GOOD * 200), "reply is of 1,600 bytes, and at most 1,000 are taken"),
        (
            Reply(GOOD * 200, headers={"Content-Length": ""}),
            "reply is of over 1,000 bytes, and at most 1,000 are taken",
        ),
        (Reply(b"", 404), "the server answered 404 Not Found"),
        (Reply(b"", 503), "the server answered 503"),
        (
            Reply(b"", 302, {"Location": "http://example.org:81/b"}),
            "redirects to http://example.org, which is not https",
        ),
        (Reply(b"", 302, {"Location": "file:///etc/passwd"}), "file://.* not allowed"),
        (Reply(b"", 302, {"Location": "https://["}), "Invalid IPv6 URL"),
    ],
)
def test_what_is_not_the_file_is_not_kept(server, settings, reply, seen):
    server.replies["/a"] = reply
    one = entry({"a.tsv": pin(GOOD, f"{server.url}/a")})
    with pytest.raises(DependencyError, match=f"downloading http.*/a failed: .*{seen}"):
        opened(one, settings)
    assert kept(settings) == []


def test_a_reply_in_pieces_that_is_cut_short(server, settings):
    chunked = {"Content-Length": "", "Transfer-Encoding": "chunked"}
    # The server speaks HTTP/1.0, and the client reads pieces all the same.
    url = server.give("/a", b"8\r\n" + GOOD + b"\r\n4\r\nab", headers=chunked)
    assert "the reply was cut short" in failure(entry({"a": pin(GOOD, url)}), settings)
    server.give("/a", b"8\r\n" + GOOD + b"\r\n0\r\n\r\n", headers=chunked)
    assert opened(entry({"a": pin(GOOD, url)}), settings)[1].read() == GOOD


def test_a_redirect_to_https_is_followed():
    request = urllib.request.Request("http://example.org/a")
    target = "https://example.org/b"
    found = HttpsOnly().redirect_request(request, io.BytesIO(), 302, "", {}, target)
    assert found.full_url == target
    with pytest.raises(DownloadError, match=r"redirects to ftp://example.org"):
        HttpsOnly().redirect_request(
            request, io.BytesIO(), 302, "", {}, "ftp://example.org/b"
        )


def test_silence_and_slowness_end_a_download(server, settings, monkeypatch):
    one = entry({"a": pin(GOOD, server.give("/a", GOOD, delay=0.5))})
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 0.05)
    assert "failed: timed out" in failure(one, settings)
    monkeypatch.setattr(downloads, "SILENCE_SECONDS", 30)
    monkeypatch.setattr(downloads, "TOTAL_SECONDS", 0)
    server.give("/a", GOOD)
    assert "8 bytes came in 0 s" in failure(one, settings)


def test_a_download_tells_how_far_it_is(server, settings, monkeypatch, caplog):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    monkeypatch.setattr(downloads, "_NEWS_SECONDS", 0)
    with caplog.at_level(logging.INFO, "headrace"):
        opened(one, settings)
    assert f"catalog:letters: downloading {server.url}/a" in caplog.messages
    assert "catalog:letters: 8 of 8 bytes" in caplog.messages


def test_offline_it_says_what_to_do(server, settings):
    server.stop()
    one = entry({"a.parquet": pin(GOOD)}, {"a.tsv": pin(GOOD, f"{server.url}/a")})
    text = failure(one, settings)
    assert f"downloading {server.url}/a failed: Connection refused." in text
    assert "set HEADRACE_DATA=FOLDER to a folder that holds a.parquet, or a.tsv" in text
    assert "--data PATH" in text


def test_a_local_copy_is_used_wherever_it_lies_below(server, copies, make):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    for folder in ("copies", "copies/text", "copies/text/letters"):
        settings = copies.model_copy(update={"data": make.folder / folder})
        path = make.file("copies/text/letters/a.tsv", GOOD)
        source, file = opened(one, settings)
        assert file.where == str(path)
        assert source.notes == [f"catalog:letters: {path}"]
    assert server.asked == []


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


def test_a_copy_of_another_digest_is_told_and_not_used(server, copies, make):
    one = entry({"a.tsv": pin(GOOD)}, {"b.tsv": pin(GOOD, server.give("/b", GOOD))})
    bad = make.file("copies/a.tsv", b"ham\tno!\n")
    source, file = opened(one, copies)
    assert file.where == str(copies.home.absolute() / "data" / "letters" / "b.tsv")
    (finding,) = source.findings
    assert finding.check == "copy_not_used"
    assert f"{bad} has sha256: {sha(bad.read_bytes())}, not" in finding.message


def test_a_right_copy_beside_a_wrong_one_is_no_news(copies, make):
    make.file("copies/z/a.tsv", GOOD)
    make.file("copies/z/z/a.tsv", b"x")
    make.file("copies/.trash/a.tsv", b"y")
    (make.folder / "copies" / "a.tsv").mkdir()
    source, file = opened(entry({"a.tsv": pin(GOOD)}), copies)
    assert file.read() == GOOD
    assert source.findings == []


def test_a_failure_tells_of_copies_that_were_not_used(server, copies, make):
    one = entry({"a.tsv": pin(GOOD, f"{server.url}/none")})
    path = make.file("copies/a.tsv", b"x" * 1001)
    text = failure(one, copies)
    assert f"no copy is in HEADRACE_DATA={copies.data}" in text
    assert f"({path} has 1,001 bytes, over 1,000)" in text


def test_a_member_of_a_zip(server, settings):
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
def test_a_zip_without_the_file(server, settings, data, seen):
    url = server.give("/a.zip", data)
    assert seen in failure(entry({"a.tsv": pin(GOOD, url, member="a.tsv")}), settings)


SOUNDS = {
    "recordings/7_ann_12.wav": b"RIFF7",
    "recordings/0_bob_4.wav": b"RIFF0",
}


def sounds(url: str = "") -> Entry:
    # By hand: the sorted lines of names and digests.
    lines = (
        f"recordings/0_bob_4.wav {sha(b'RIFF0')}\n"
        f"recordings/7_ann_12.wav {sha(b'RIFF7')}\n"
    )
    file = Pin(
        size=10, sha256=sha(lines.encode()), url=url, contents="recordings/*.wav"
    )
    return entry({"recordings.zip": file}, table="spoken_digits")


def check_sounds(tree: FileTree) -> None:
    names = ["metadata.parquet", *sorted(SOUNDS)]
    assert sorted(tree.files) == names
    for name, data in SOUNDS.items():
        assert tree.files[name].size == len(data)
    table = pq.read_table(io.BytesIO(tree.files["metadata.parquet"].read()))
    assert table.to_pylist() == [
        {
            "file": "recordings/0_bob_4.wav",
            "label": "0",
            "speaker": "bob",
            "index": 4,
            "split": "test",
        },
        {
            "file": "recordings/7_ann_12.wav",
            "label": "7",
            "speaker": "ann",
            "index": 12,
            "split": "train",
        },
    ]


def test_the_contents_of_a_zip_are_packed_anew(server, settings):
    inside = {f"sounds-26eb9aa/{name}": data for name, data in SOUNDS.items()}
    url = server.give("/zip", zipped({"sounds-26eb9aa/README.md": b"", **inside}))
    check_sounds(opened(sounds(url), settings)[1])
    path = settings.home / "data" / "letters" / "recordings.zip"
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == SOUNDS
    check_sounds(opened(sounds(url), settings)[1])
    assert server.asked == ["/zip"]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_local_zip_is_known_by_its_contents(copies, make, method):
    make.file("copies/recordings.zip", zipped(SOUNDS, method))
    source = Source(kind="", uri="catalog:letters")
    with source:
        tree = catalog.open_entry(source, copies, sounds())
        check_sounds(tree)
        assert tree.files["recordings/0_bob_4.wav"].read() == b"RIFF0"


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (zipped(SOUNDS | {"recordings/0_bob_4.wav": b"?"}), "has a sha256 of its rec"),
        (zipped(SOUNDS | {"recordings/0_bob_5.wav": b"?"}), "has a sha256 of its rec"),
        (zipped({"a.txt": b""}), "cannot be used: it holds no recordings/"),
        (b"text", "cannot be used: it begins as a zip archive, but"),
    ],
)
def test_a_zip_of_other_contents_is_not_used(server, copies, make, data, seen):
    make.file("copies/recordings.zip", data)
    assert seen in failure(sounds(f"{server.url}/none"), copies)


def rows(file: File) -> list[dict[str, object]]:
    return pq.read_table(io.BytesIO(file.read())).to_pylist()


def test_messages_have_a_split_by_the_digest_of_the_text(copies, make):
    data = "ham\tyes\tand “no”\u2028\nspam\tg\n".encode()
    make.file("copies/SMSSpamCollection", data)
    _, file = opened(entry({"SMSSpamCollection": pin(data)}, table="sms_spam"), copies)
    assert sha("yes\tand “no”\u2028".encode()) > "33333333"  # 0.2 * 16**8
    assert sha(b"g") == (
        "cd0aa9856147b6c5b4ff2b7dfee5da20aa38253099ef1b4a64aced233c9afe29"
    )
    assert rows(file) == [
        {"label": "ham", "text": "yes\tand “no”\u2028", "split": "train"},
        {"label": "spam", "text": "g", "split": "train"},
    ]
    table = upstream.sms_spam(
        {"SMSSpamCollection": upstream.in_memory("x", b"ham\thello\n")}
    )
    assert sha(b"hello") < "33333333"
    assert table["split"].to_pylist() == ["test"]


def test_sentences_are_of_the_language_and_split_of_their_file(copies, make):
    head = "index_id\tcategory\ttext\n"
    files = {
        "eng_Latn.dev.tsv": f'{head}7\tsports\t"He said ""no"" twice."\n'.encode(),
        "zho_Hans.test.tsv": f"{head}8\thealth\t中文。\n".encode(),
    }
    for name, data in files.items():
        make.file(f"copies/{name}", data)
    pins = {name: pin(data) for name, data in files.items()}
    source, file = opened(entry(pins, table="sib200"), copies)
    assert source.notes[0].endswith("eng_Latn.dev.tsv and 1 more")
    assert rows(file) == [
        {
            "text": 'He said ""no"" twice.',
            "label": "sports",
            "lang": "eng_Latn",
            "split": "val",
            "index_id": 7,
        },
        {
            "text": "中文。",
            "label": "health",
            "lang": "zho_Hans",
            "split": "test",
            "index_id": 8,
        },
    ]


def test_unknown_names():
    with pytest.raises(NotFoundError, match=r"catalog:SMS-spm. Did you mean .*sms-sp"):
        find_entry("catalog:SMS-spm")
    with pytest.raises(NotFoundError, match=r"Known are catalog:sms-spam, catalog:sib"):
        open_source("catalog:qqq", Settings())
    with pytest.raises(NotFoundError, match=r"There is no data named catalog:qqq"):
        source_identity("catalog:qqq")


def test_where_local_copies_are_said_to_be(settings, tmp_path, make):
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


def test_the_variable_is_read(monkeypatch):
    monkeypatch.setenv("HEADRACE_DATA", "/data")
    assert Settings().data == Path("/data")
    monkeypatch.setenv("HEADRACE_DATA", "")
    assert Settings().data is None


def test_identity_follows_local_copies_and_not_downloads(server, copies, make):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    nothing = catalog.identity(one.uri, copies, one)
    opened(one, copies)
    assert catalog.identity(one.uri, copies, one) == nothing
    assert kept(copies) == ["a.tsv"]
    path = make.file("copies/deep/a.tsv", GOOD)
    make.file("copies/deep/other.tsv", GOOD)
    first = catalog.identity(one.uri, copies, one)
    deeper = copies.model_copy(update={"data": make.folder / "copies" / "deep"})
    assert catalog.identity(one.uri, deeper, one) == first
    make.file("new", b"ham\tno!\n").replace(path)
    second = catalog.identity(one.uri, copies, one)
    other = catalog.identity(one.uri, copies, entry({"a.tsv": pin(b"other")}))
    assert len({nothing, first, second, other}) == 4
    assert server.asked == ["/a"]


def test_a_home_that_cannot_be_written(server, settings, make):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    settings.home.mkdir()
    (settings.home / "data").write_bytes(b"")
    with pytest.raises(UsageError, match=r"data/letters cannot be written: .*HEADRACE"):
        opened(one, settings)
