import gzip
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.sources.identity import source_identity
from headrace.errors import LimitError, SourceError, SpecError

CLIPS = {f"clips/{row}.wav": b"RIFF%d" % row for row in range(6)}
LISTED = "file,label,speaker,seconds\n" + "".join(
    f"clips/{row}.wav,{'ab'[row % 2]},{'xyz'[row % 3]},{row}\n" for row in range(6)
)


@pytest.fixture
def sounds(read):
    return lambda uri, **options: read(uri, medium="audio", **options)


def _rows(chunks):
    return {
        name: (item, label, chunk.split)
        for chunk in chunks
        for name, item, label in zip(
            chunk.names, chunk.items, chunk.labels, strict=True
        )
    }


EXPECTED = {
    f"clips/{row}.wav": (b"RIFF%d" % row, "ab"[row % 2], None) for row in range(6)
}


def test_a_table_names_the_files_of_its_folder(make, sounds):
    source, chunks = sounds(make.tree({**CLIPS, "meta.csv": LISTED.encode()}))
    assert source.kind == "listed"
    assert _rows(chunks) == EXPECTED
    assert source.findings == []
    assert source.notes == [
        "meta.csv: UTF-8, comma-separated, with a header; files in file, labels in "
        "label."
    ]


def test_a_row_that_cannot_be_read_names_no_missing_file(make, sounds):
    clips = {f"clips/{row}.wav": b"RIFF" for row in range(200)}
    lines = [f"{name},{'ab'[row % 2]}" for row, name in enumerate(clips)]
    lines.insert(100, "clips/x.wav,a,b")
    table = "\n".join(["file,label", *lines]).encode()
    source, chunks = sounds(make.tree({**clips, "meta.csv": table}))
    assert [(f.check, f.count) for f in source.findings] == [("ragged_rows", 1)]
    unread = [chunk.names[row] for chunk in chunks for row in chunk.unread]
    assert unread == ["meta.csv line 102"]


@pytest.mark.parametrize("pack", ["zip", "tar"])
def test_files_lie_in_an_archive_beside_the_table(make, sounds, pack):
    make.tree({"meta.csv": LISTED.encode()})
    getattr(make, pack)(dict(reversed(CLIPS.items())), name=f"images/clips.{pack}")
    source, chunks = sounds(make.folder / "images")
    assert _rows(chunks) == EXPECTED
    assert source.findings == []


@pytest.mark.parametrize("pack", ["zip", "tar"])
def test_table_and_files_lie_in_one_archive(make, sounds, pack):
    path = getattr(make, pack)({**CLIPS, "meta.csv": LISTED.encode()})
    source, chunks = sounds(path)
    assert (source.kind, _rows(chunks)) == ("listed", EXPECTED)


@pytest.mark.parametrize(
    "name",
    ["./clips/{}.wav", "/old/home/clips/{}.wav", "{}.wav", "{}", "clips\\{}.wav"],
)
def test_files_are_named_in_several_ways(make, sounds, name):
    table = "id,label\n" + "".join(
        f"{name.format(row)},{row % 2}\n" for row in range(6)
    )
    source, chunks = sounds(make.tree({**CLIPS, "meta/m.csv": table.encode()}))
    assert sorted(item for item, *_ in _rows(chunks).values()) == list(CLIPS.values())
    assert source.findings == []


def test_other_formats_hold_the_same_and_are_not_read(make, sounds):
    path = make.tree({**CLIPS, "meta.csv": LISTED.encode()})
    rows = [line.split(",")[:2] for line in LISTED.splitlines()[1:]]
    table = pa.table({"file": [r[0] for r in rows], "label": [r[1] for r in rows]})
    pq.write_table(table, path / "meta.parquet")
    source, chunks = sounds(path)
    assert _rows(chunks) == EXPECTED
    assert source.notes == [
        "meta.parquet: Parquet; files in file, labels in label.",
        "meta.csv: not read, as its files are known.",
    ]


def test_files_that_are_not_in_the_folder_that_a_table_names_are_told(make, sounds):
    moved = {name.replace("clips/", "clips_old/"): f for name, f in CLIPS.items()}
    source, chunks = sounds(make.tree({**moved, "m.csv": LISTED.encode()}))
    assert all(row[0] for row in _rows(chunks).values()), "they are read all the same"
    (finding,) = source.findings
    assert (finding.check, finding.count) == ("files_elsewhere", len(CLIPS))
    assert "clips/0.wav: clips_old/0.wav" in finding.message


def test_rows_and_files_without_each_other_are_told(make, sounds):
    table = LISTED.replace("clips/3.wav", "clips/9.wav")
    source, chunks = sounds(make.tree({**CLIPS, "m.csv": table.encode()}))
    assert _rows(chunks)["clips/9.wav"] == (b"", "b", None)
    found = {finding.check: finding for finding in source.findings}
    assert found["missing_files"].count == 1
    told = "1 row names a file that is not there, such as clips/9.wav"
    assert told in found["missing_files"].message
    assert found["unlisted_files"].count == 1
    assert "such as clips/3.wav" in found["unlisted_files"].message


def test_a_name_leads_to_no_file_outside(make, sounds):
    make.file("secret.wav", b"secret")
    table = LISTED.replace("clips/3.wav", "../secret.wav")
    _, chunks = sounds(make.tree({**CLIPS, "m.csv": table.encode()}))
    assert _rows(chunks)["../secret.wav"][0] == b""


def test_groups_and_conditions(make, sounds):
    path = make.tree({**CLIPS, "m.csv": LISTED.encode()})
    _, (chunk,) = sounds(path, group="speaker", where={"label": "a"})
    assert chunk.names == ["clips/0.wav", "clips/2.wav", "clips/4.wav"]
    assert chunk.groups == ["x", "z", "y"]
    where = {"label": "a", "seconds": "2"}
    _, (chunk,) = sounds(path, group="speaker", where=where)
    assert chunk.names == ["clips/2.wav"]
    with pytest.raises(SpecError, match=r"fits none of the 6 rows"):
        sounds(path, where={"seconds": "9"})
    with pytest.raises(
        SpecError, match=r"data.group = 'nix' is not a column of .*m.csv"
    ):
        sounds(path, group="nix")


def test_splits_are_in_a_column_or_in_the_names_of_tables(make, sounds):
    head, *rows = LISTED.splitlines(keepends=True)
    tables = {
        "train.csv": (head + "".join(rows[:4])).encode(),
        "test.csv": (head + "".join(rows[4:])).encode(),
    }
    _, chunks = sounds(make.tree({**CLIPS, **tables}))
    assert [(chunk.split, len(chunk.names)) for chunk in chunks] == [
        ("test", 2),
        ("train", 4),
    ]
    table = LISTED.replace("speaker", "split").replace(",x,", ",test,")
    table = table.replace(",y,", ",train,").replace(",z,", ",val,")
    _, chunks = sounds(make.tree({**CLIPS, "m.csv": table.encode()}, "other"))
    assert [(chunk.split, len(chunk.names)) for chunk in chunks] == [
        ("test", 2),
        ("train", 2),
        ("val", 2),
    ]


def test_labels_are_not_needed_to_be_scored(make, sounds):
    table = "file,who\n" + "".join(f"{name},{name[6]}\n" for name in CLIPS)
    path = make.tree({**CLIPS, "m.csv": table.encode()})
    _, (chunk,) = sounds(path, labelled=False)
    assert (chunk.names, set(chunk.labels)) == (list(CLIPS), {""})
    with pytest.raises(SourceError, match=r"m.csv has no column of labels"):
        sounds(path)


@pytest.mark.parametrize("head", ["", "file\n", "path\n"])
def test_a_list_of_files_needs_no_header_to_be_scored(make, sounds, head):
    tree = make.tree({**CLIPS, "new.csv": (head + "\n".join(CLIPS)).encode()})
    source, chunks = sounds(tree / "new.csv", labelled=False)
    assert source.kind == "listed"
    assert {name: row[0] for name, row in _rows(chunks).items()} == CLIPS
    assert source.findings == []


def test_a_table_that_names_no_files_is_a_note(make, read):
    path = make.tree({**make.members(), "labels.csv": b"name,label\nzero,0\none,1\n"})
    source, (chunk,) = read(path)
    assert (source.kind, len(chunk.labels)) == ("folder", 6)
    assert source.findings == []


def test_a_table_of_files_that_are_not_there_is_told(make, sounds):
    table = LISTED.replace("clips/", "x")
    classes = {f"{'ab'[row % 2]}/f{row}.wav": b"RIFF" for row in range(6)}
    source, _ = sounds(make.tree({**classes, "m.csv": table.encode()}))
    (finding,) = source.findings
    assert (source.kind, finding.check, finding.count) == ("folder", "missing_files", 6)
    assert "m.csv was not read: of the 6 files" in finding.message
    assert finding.message.endswith("6 are not there, such as x0.wav.")


def test_a_table_of_files_none_of_which_is_there_is_refused(make, sounds):
    table = LISTED.replace("clips/", "x")
    path = make.tree({"clips/a.wav": b"RIFF", "m.csv": table.encode()})
    with pytest.raises(SourceError, match=r"m.csv was not read: .* such as x0.wav"):
        sounds(path)


def test_images_are_named_alike(make, read):
    images = {name.replace("/", "-"): data for name, data in make.members().items()}
    table = "".join(f"{name}\t{name[0]}\n" for name in images)
    table = "image\tclass\n" + table
    _, (chunk,) = read(make.tree({**images, "m.tsv": table.encode()}))
    assert chunk.labels == [name[0] for name in chunk.names]
    assert chunk.items == [images[name] for name in chunk.names]


def test_a_damaged_archive_beside_the_table_is_refused(make, sounds):
    path = make.tree({"m.csv": LISTED.encode()})
    whole = make.zip(CLIPS).read_bytes()
    (path / "clips.zip").write_bytes(whole[:-9])
    with pytest.raises(SourceError, match=r"clips.zip"):
        sounds(path)
    shutil.rmtree(path)
    with pytest.raises(SourceError, match=r"m.csv is not text"):
        sounds(make.tree({"a.wav": b"RIFF", "m.csv": bytes(range(32)) * 9}))


def test_a_table_is_given_without_its_folder(make, sounds):
    folder = make.tree({**CLIPS, "x/more.wav": b"RIFF", "meta.csv": LISTED.encode()})
    source, chunks = sounds(f"{folder}/meta.csv")
    assert (source.kind, source.findings) == ("listed", [])
    assert _rows(chunks) == EXPECTED
    (folder / "other.csv").write_text("file,label\ngone/x.wav,a\ngone/y.wav,b\n")
    with pytest.raises(SourceError, match=r"2 are not there, such as gone/x\.wav"):
        sounds(f"{folder}/other.csv")
    (folder / "none.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(SourceError, match="of sounds for each class"):
        sounds(f"{folder}/none.csv")


def test_a_table_changes_with_the_files_beside_it(make):
    folder = make.tree({**CLIPS, "meta.csv": LISTED.encode()})
    table = f"{folder}/meta.csv"
    first = source_identity(table, medium="audio")
    of_texts = source_identity(table, medium="text")
    (folder / "clips" / "0.wav").write_bytes(b"RIFF, and more")
    assert source_identity(table, medium="audio") != first
    assert source_identity(table, medium="text") == of_texts


@pytest.mark.parametrize(
    "table",
    [
        "file,speaker\nclips/0.wav,ann\nclips/1.wav,bob\n",
        "speaker;Path\nann;clips/0.wav\nbob;clips/1.wav\n",
        "file,kind\nclips/0.wav,lion\n",
    ],
)
def test_the_header_of_a_short_table_of_files_is_no_row(make, sounds, table):
    source, chunks = sounds(
        make.tree({**CLIPS, "meta.csv": table.encode()}), labelled=False
    )
    assert {*_rows(chunks)} <= {"clips/0.wav", "clips/1.wav"}
    assert "with a header" in source.notes[0]
    assert "missing_files" not in {finding.check for finding in source.findings}


def test_a_first_row_that_names_a_file_is_no_header(make, sounds):
    table = b"clips/0.wav,ann\nclips/1.wav,bob\n"
    source, chunks = sounds(make.tree({**CLIPS, "meta.csv": table}), labelled=False)
    assert {*_rows(chunks)} == {"clips/0.wav", "clips/1.wav"}
    assert "no header" in source.notes[0]


def test_a_packed_table_over_a_limit_is_refused_with_the_others(make, sounds):
    wide = "file,label,about\n" + f"clips/5.wav,a,{'x' * 2**20}\n" * 17
    tables = {"a.csv": LISTED.encode(), "b.csv.gz": gzip.compress(wide.encode())}
    with pytest.raises(LimitError, match=r"b\.csv\.gz.* HEADRACE_MAX_BYTES"):
        sounds(make.tree({**CLIPS, **tables}), max_bytes=2**24)


def test_a_table_whose_rows_are_not_read_is_told(make, sounds):
    tables = {"info.json": b'{\n "version": 1,\n "rows": 6\n}'}
    source, _ = sounds(make.tree({**CLIPS, "a.csv": LISTED.encode(), **tables}))
    (finding,) = source.findings
    assert (finding.check, finding.count) == ("unread_tables", 1)
    assert "info.json is JSON, but neither one object a line" in finding.message
    classes = {"a/x.wav": b"RIFF", "b/y.wav": b"RIFF", "c.csv": b""}
    source, _ = sounds(make.tree(classes, "more"))
    assert [finding.check for finding in source.findings] == ["unread_tables"]


@pytest.mark.parametrize(
    ("name", "table", "reason"),
    [
        (
            "test.csv",
            "file,label,label\nclips/4.wav,a\nclips/5.wav,b\n",
            "is text, but",
        ),
        ("test.csv", "file,label\ngone/x.wav,a\ngone/y.wav,b\n", "2 are not there"),
        ("who.csv", "speaker,town\nx,Rome\ny,Bonn\n", "names no files of the folder"),
    ],
)
def test_a_table_beside_others_that_names_no_files_is_told(
    make, sounds, name, table, reason
):
    tables = {"train.csv": "".join(LISTED.splitlines(True)[:5]), name: table}
    encoded = {name: text.encode() for name, text in tables.items()}
    source, chunks = sounds(make.tree({**CLIPS, **encoded}))
    assert len(_rows(chunks)) == 4
    unread, _ = source.findings
    assert (unread.check, unread.count) == ("unread_tables", 1)
    assert name in unread.message and reason in unread.message
