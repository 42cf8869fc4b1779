import os

import pytest

from headrace.data.sources.places import trees
from headrace.data.sources.readers import folder
from headrace.errors import SourceError

SIZES = (40, 60, 1, 500, 99)


def test_class_folders_give_labels(make, read):
    source, (chunk,) = read(make.tree(make.members()))
    assert source.kind == "folder"
    assert source.findings == []
    assert chunk.split is None
    rows = dict(zip(chunk.names, chunk.items, strict=True))
    assert rows["1/4.png"] == make.png(make.images[4])
    assert dict(zip(chunk.names, chunk.labels, strict=True))["1/4.png"] == "1"


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("training", "testing"), ("Train", "TEST")]
)
def test_split_folders_give_splits(make, read, train, test):
    members = make.members(f"{train}/") | make.members(f"{test}/")
    _, chunks = read(make.tree(members))
    assert sorted((chunk.split, len(chunk.labels)) for chunk in chunks) == [
        ("test", 6),
        ("train", 6),
    ]


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_is_a_split(make, read, name):
    members = make.members("test/") | make.members(f"{name}/")
    _, chunks = read(make.tree(members))
    assert {chunk.split for chunk in chunks} == {"val", "test"}


def test_a_class_may_be_called_train(make, read):
    png = make.png(make.images[0])
    _, chunks = read(make.tree({"train/1.png": png, "plane/2.png": png}))
    assert sorted(chunks[0].labels) == ["plane", "train"]


def test_one_folder_around_everything_is_looked_through(make, read):
    _, (chunk,) = read(make.tree(make.members("digits/")))
    assert sorted(set(chunk.labels)) == ["0", "1", "2"]


def test_rows_come_in_chunks(make, read, monkeypatch):
    monkeypatch.setattr(folder, "ROWS_PER_CHUNK", 4)
    _, chunks = read(make.tree(make.members()))
    assert [len(chunk.labels) for chunk in chunks] == [4, 2]


def test_chunks_are_bounded_by_their_bytes(make, read, monkeypatch):
    monkeypatch.setattr(folder, "CHUNK_BYTES", 100)
    _, chunks = read(make.tree({f"0/{n}": bytes(size) for n, size in enumerate(SIZES)}))
    assert [[len(item) for item in chunk.items] for chunk in chunks] == [
        [40, 60],
        [1],
        [500],
        [99],
    ]


def test_files_are_made_when_they_are_asked_for():
    made = []
    files = trees.FolderFiles(lambda name, facts: made.append((name, facts)))
    files.facts["a"] = 1
    files.facts["b"] = 2
    assert (list(files), len(files), "a" in files, "c" in files) == (
        ["a", "b"],
        2,
        True,
        False,
    )
    assert made == []
    assert files["b"] is None
    assert made == [("b", 2)]


def test_hidden_files_and_system_files_are_no_items(make, read):
    junk = dict.fromkeys(
        [".git/config", "0/.hidden", "0/Thumbs.db", "__MACOSX/0/._1.png"], b"junk"
    )
    source, (chunk,) = read(make.tree(make.members() | junk))
    assert len(chunk.labels) == 6
    assert source.findings == []


def test_files_at_other_depths_are_reported(make, read):
    stray = {"one.png": b"x", "0/deeper/1.png": b"x", "README.md": b"hi"}
    source, (chunk,) = read(make.tree(make.members() | stray))
    assert len(chunk.labels) == 6
    assert [(f.check, f.count) for f in source.findings] == [("ignored_files", 2)]


@pytest.mark.parametrize("folder", ["test", "test1"])
def test_a_test_split_without_labels_is_left_out_however_large(make, read, folder):
    png = make.png(make.images[0])
    flat = {f"{folder}/{number}.png": png for number in range(9)}
    source, (chunk,) = read(make.tree(make.members("train/") | flat))
    assert len(chunk.labels) == 6
    assert [(f.check, f.count) for f in source.findings] == [("ignored_files", 9)]


def test_more_files_astray_than_in_classes_are_refused(make, read):
    png = make.png(make.images[0])
    with_test = make.members("test/") | {f"cat/{n}.png": png for n in range(7)}
    told = (
        r"holds 6 files in folders of classes within train/ or test/, and 7 elsewhere, "
        r"such as cat/0.png. .* as train/CLASS/0.png"
    )
    with pytest.raises(SourceError, match=told):
        read(make.tree(with_test, "with_test"))
    deeper = make.members() | {f"cat/a/{n}.png": png for n in range(7)}
    told = r"6 files in folders of classes, and 7 elsewhere, .* as CLASS/0.png"
    with pytest.raises(SourceError, match=told):
        read(make.tree(deeper, "deeper"))


def test_other_files_may_be_more_than_those_of_the_classes(make, read):
    others = {f"cat/a/{n}.xml": b"<x/>" for n in range(7)}
    source, (chunk,) = read(make.tree(make.members() | others))
    assert (len(chunk.labels), source.findings[0].count) == (6, 7)


@pytest.mark.parametrize(
    "name",
    "README README.html readme.md LICENSE LICENSE-MIT.txt SOURCE SOURCE.md notes.txt "
    "labels.csv classes.json deeper/er/README.md".split(),
)
def test_notes_are_not_reported(make, read, name):
    source, _ = read(make.tree(make.members() | {name: b"about"}))
    assert source.findings == []


@pytest.mark.parametrize("name", ["source-1.png", "0/deeper/a.csv", "extra.npz"])
def test_what_may_be_data_is_no_note(make, read, name):
    source, _ = read(make.tree(make.members() | {name: b"x"}))
    assert [finding.check for finding in source.findings] == ["ignored_files"]


def test_an_unlabelled_folder_is_all_its_files_but_notes(make, read):
    one = make.png(make.images[0])
    flat = {"b.png": one, "a.png": one, "README.md": b"hi", "labels.csv": b"0,1"}
    source, (chunk,) = read(make.tree(flat), labelled=False)
    assert (source.kind, source.findings) == ("folder", [])
    assert chunk.names == ["a.png", "b.png"]
    assert chunk.labels == ["", ""]
    assert chunk.items == [one, one]


def test_an_unlabelled_folder_keeps_its_order_and_the_labels_it_has(make, read):
    nested = make.members() | {"top.png": b"x", "0/deeper/1.png": b"y"}
    _, (chunk,) = read(make.tree(nested), labelled=False)
    rows = list(zip(chunk.names, chunk.labels, strict=True))
    assert rows == [
        ("top.png", ""),
        ("0/0.png", "0"),
        ("0/3.png", "0"),
        ("0/deeper/1.png", ""),
        ("1/1.png", "1"),
        ("1/4.png", "1"),
        ("2/2.png", "2"),
        ("2/5.png", "2"),
    ]


@pytest.mark.parametrize("pack", ["zip", "tar"])
def test_an_unlabelled_archive_may_be_flat(make, read, pack):
    members = {"b.png": b"1", "a.png": b"2"}
    source, (chunk,) = read(getattr(make, pack)(members), labelled=False)
    assert source.kind == "folder"
    assert (chunk.names, chunk.items) == (["b.png", "a.png"], [b"1", b"2"])


def test_an_unlabelled_folder_of_notes_alone_is_read(make, read):
    _, (chunk,) = read(make.tree({"a.txt": b"hello"}), labelled=False)
    assert chunk.names == ["a.txt"]


def test_an_unlabelled_folder_without_files(read, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"empty holds no files.* Give data with"):
        read(tmp_path / "empty", labelled=False)


def test_one_unlabelled_image_is_enough(make, read):
    image = make.png(make.images[0])
    source, (chunk,) = read(make.file("d/seven.png", image), labelled=False)
    assert source.kind == "file"
    assert (chunk.names, chunk.labels, chunk.items) == (["seven.png"], [""], [image])


def test_a_folder_with_nothing_in_it(make, read, tmp_path):
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"holds no files"):
        read(tmp_path / "empty")


def test_images_without_class_folders_are_told_how_to_lie(make, read):
    members = {"1.png": make.png(make.images[0]), "2.png": make.png(make.images[1])}
    seen = "holds 2 files but no class sub-folders.* such as 7/00012.png"
    with pytest.raises(SourceError, match=seen):
        read(make.tree(members))


def test_images_too_deep_are_told_how_to_lie(make, read):
    members = {"a/b/c/1.png": b"x", "d/e/f/2.png": b"x"}
    with pytest.raises(
        SourceError, match=r"no files directly in class sub-folders \(2"
    ):
        read(make.tree(members))


def test_links_are_not_followed(make, read, tmp_path):
    outside = make.file("outside.png", make.png(make.images[0]))
    path = make.tree(make.members())
    (path / "0" / "link.png").symlink_to(outside)
    (path / "9").symlink_to(tmp_path)
    os.mkfifo(path / "0" / "pipe")
    source, (chunk,) = read(path)
    assert len(chunk.labels) == 6
    assert [(f.check, f.count) for f in source.findings] == [("links_ignored", 3)]


def test_only_links_is_said_to_be_no_data(make, read, tmp_path):
    outside = make.file("outside.png", b"x")
    (tmp_path / "links" / "0").mkdir(parents=True)
    (tmp_path / "links" / "0" / "1.png").symlink_to(outside)
    with pytest.raises(SourceError, match=r"no files.* 1 link or special file"):
        read(tmp_path / "links")


def test_a_file_too_big_for_one_item(make, read):
    path = make.tree(make.members())
    with (path / "0" / "huge.png").open("wb") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(SourceError, match=r"huge.png has 268,435,457 bytes"):
        read(path)


def test_the_limits_of_the_settings_are_kept(make, read):
    path = make.tree(make.members())
    with pytest.raises(SourceError, match=r"over 5 files.*HEADRACE_MAX_MEMBERS"):
        read(path, max_members=5)
    with pytest.raises(SourceError, match=r"the limit is 99.*HEADRACE_MAX_BYTES"):
        read(path, max_bytes=99)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("a\nb.png", "a control character"),
        ("a\\b.png", "a backslash"),
        (os.fsdecode(b"\xff.png"), "not UTF-8"),
    ],
)
def test_a_name_that_hides_something_is_refused(make, read, name, seen):
    path = make.tree(make.members())
    (path / "0" / name).write_bytes(b"x")
    with pytest.raises(SourceError, match=seen):
        read(path)


def test_a_single_file_in_a_folder_is_pointed_at(make, read):
    make.npz("around/data.npz", x=make.images, y=make.labels)
    with pytest.raises(SourceError, match=r"holds data.npz alone; .* give it"):
        read(make.folder / "around")


def test_the_encoding_of_texts_is_found_once_for_all_parts(make, read, monkeypatch):
    monkeypatch.setattr(folder, "ROWS_PER_CHUNK", 2)
    long = "这个酒店的服务很好，下次还会来住，一点也不好"
    texts = {f"{label}/{n}.txt": long.encode("gbk") for label in "ab" for n in range(2)}
    texts["b/9.txt"] = "嗯".encode("gbk")
    source, chunks = read(make.tree(texts), medium="text")
    assert [item.decode() for chunk in chunks for item in chunk.items] == [
        *[long] * 4,
        "嗯",
    ]
    assert source.encoding == "gb18030"


def test_a_text_in_the_encoding_that_a_model_has_learned_from_is_read(make, read):
    path = make.file("a.txt", "嗯".encode("gbk"))
    options = {"labelled": False, "medium": "text"}
    _, (chunk,) = read(path, learned_encoding="gb18030", **options)
    assert chunk.items == ["嗯".encode()]
    table = make.file("a.csv", "text,id\n嗯,1\n好,2\n".encode("gbk"))
    _, (chunk,) = read(table, learned_encoding="gb18030", **options)
    assert chunk.items == ["嗯".encode(), "好".encode()]
