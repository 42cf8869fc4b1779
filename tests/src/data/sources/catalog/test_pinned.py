"""A file is known by its digest: of local copies the right one is used."""

import io
import zipfile

import pyarrow.parquet as pq
import pytest
from tests.src.data.sources.conftest import (
    GOOD,
    entry,
    failure,
    kept,
    opened,
    pin,
    sha,
    zipped,
)

from headrace.data.sources.catalog import named as catalog
from headrace.data.sources.catalog import pinned, tables
from headrace.data.sources.catalog.pinned import Pin
from headrace.data.sources.identity import source_identity
from headrace.data.sources.opening import open_source
from headrace.errors import NotFoundError, SourceError
from headrace.media.chunks import Source


def test_a_local_copy_is_used_wherever_it_lies_below(server, copies, make):
    one = entry({"a.tsv": pin(GOOD, server.give("/a", GOOD))})
    for folder in ("copies", "copies/text", "copies/text/letters"):
        settings = copies.model_copy(update={"data": make.folder / folder})
        path = make.file("copies/text/letters/a.tsv", GOOD)
        source, file = opened(one, settings)
        assert file.where == str(path)
        assert source.notes == [f"catalog:letters: {path}"]
    assert server.asked == []


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


SOUNDS = {
    "recordings/7_ann_12.wav": b"RIFF7",
    "recordings/0_bob_4.wav": b"RIFF0",
}


def sounds(url=""):
    # By hand: the sorted lines of names and digests.
    lines = (
        f"recordings/0_bob_4.wav {sha(b'RIFF0')}\n"
        f"recordings/7_ann_12.wav {sha(b'RIFF7')}\n"
    )
    file = Pin(
        size=10, sha256=sha(lines.encode()), url=url, contents="recordings/*.wav"
    )
    return entry({"recordings.zip": file}, table="spoken_digits")


def check_sounds(tree):
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
def test_a_local_zip_is_known_by_its_contents(copies, make, monkeypatch, method):
    make.file("copies/recordings.zip", zipped(SOUNDS, method))
    monkeypatch.setattr(catalog, "find_entry", lambda uri: sounds())
    source = Source(kind="", uri="catalog:letters")
    with source:
        tree = catalog.open_entry(source, copies)
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


def rows(file):
    found = pq.read_table(io.BytesIO(file.read())).to_pylist()
    return found


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
    table = tables.sms_spam(
        {"SMSSpamCollection": pinned.in_memory("x", b"ham\thello\n")}
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
