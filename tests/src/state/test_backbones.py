"""A backbone in the store is the files that were recorded, or it is not used."""

from pathlib import Path

import pytest

from headrace.errors import IntegrityError, NotFoundError
from headrace.settings import Settings
from headrace.state import backbones
from headrace.state.backbones import Backbone
from headrace.state.home import Home

FILES = {"config.json": b"{}", "assets/tokenizer/vocabulary.txt": b"a\nb\n"}


@pytest.fixture
def home(tmp_path):
    return Home(Settings(home=tmp_path / "home").prepare_home())


def keep(home, licence="", **files):
    with home.store.work_folder(backbones.FOLDER) as work:
        paths = {}
        for name, data in (FILES | files).items():
            paths[name] = work / "folder" / name
            paths[name].parent.mkdir(parents=True, exist_ok=True)
            paths[name].write_bytes(data)
        listed = backbones.files_of(paths)
        backbone = Backbone(
            digest=backbones.digest_of(listed),
            files=listed,
            medium="text",
            architecture="bert",
            source="/from/there",
            licence=licence,
        )
        backbones.keep(backbone, work / "folder", home)
    return backbone


def place(home, backbone, name):
    return Path(home.store.path(f"backbones/{backbone.digest}/{name}"))


def test_what_was_kept_is_found_by_its_digest(home):
    kept = keep(home)
    assert backbones.find(kept.digest, home) == kept
    folder = backbones.local_folder(kept.digest, home)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert kept.bytes == 6


def test_the_digest_is_of_names_and_bytes_alone(home):
    first = keep(home)
    assert keep(home, licence="MIT").digest == first.digest
    assert keep(home, **{"config.json": b"{ }"}).digest != first.digest
    assert backbones.digest_of(reversed(first.files)) == first.digest
    assert backbones.digest_of(first.files[1:]) != first.digest


def test_a_name_is_of_the_last_backbone_that_was_given_it(home):
    assert backbones.names(home) == {}
    first, second = keep(home), keep(home, **{"config.json": b"[]"})
    backbones.give_name("small", first.digest, home)
    backbones.give_name("a/b", first.digest, home)
    backbones.give_name("small", second.digest, home)
    assert backbones.names(home) == {"a/b": first.digest, "small": second.digest}


def test_a_changed_byte_is_named_with_what_mends_it(home):
    kept = keep(home)
    backbones.give_name("small", kept.digest, home)
    changed = place(home, kept, "assets/tokenizer/vocabulary.txt")
    changed.write_bytes(b"a\nc\n")
    with pytest.raises(
        IntegrityError, match=r"vocabulary\.txt is not the file"
    ) as info:
        backbones.local_folder(kept.digest, home)
    assert "headrace backbone add small /from/there" in info.value.action
    keep(home)
    assert backbones.local_folder(kept.digest, home)
    changed.unlink()
    with pytest.raises(IntegrityError, match=r"vocabulary\.txt"):
        backbones.local_folder(kept.digest, home)


def test_a_record_of_another_form_is_none(home):
    kept = keep(home)
    record = place(home, kept, "record.json")
    record.write_text(record.read_text().replace('"licence": ""', '"licence": 3'))
    assert backbones.find(kept.digest, home) is None
    with pytest.raises(NotFoundError, match=f"no backbone {kept.digest[:16]}"):
        backbones.local_folder(kept.digest, home)


def test_what_is_newly_known_is_recorded(home):
    kept = keep(home)
    backbones.describe(kept.model_copy(update={"licence": "MIT"}), home)
    assert backbones.find(kept.digest, home).licence == "MIT"


def test_of_a_remote_store_there_is_a_copy_whose_digests_are_checked(tmp_path):
    settings = Settings(home=tmp_path / "home", store=f"memory://{tmp_path.name}/store")
    home = Home(settings.prepare_home())
    kept = keep(home)
    folder = backbones.local_folder(kept.digest, home)
    assert folder.is_relative_to(tmp_path / "home")
    assert (folder / "config.json").read_bytes() == b"{}"
    (folder / "config.json").write_bytes(b"[]")
    assert backbones.local_folder(kept.digest, home) == folder
    assert (folder / "config.json").read_bytes() == b"{}"
    there = home.store.path(f"backbones/{kept.digest}/config.json")
    home.store.fs.pipe_file(there, b"[]")
    assert backbones.local_folder(kept.digest, home) == folder  # the copy is whole
    (folder / "config.json").write_bytes(b"[]")
    with pytest.raises(IntegrityError, match=r"config\.json is not the file"):
        backbones.local_folder(kept.digest, home)
