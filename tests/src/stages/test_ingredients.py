"""What decides the weights is recorded in full, and compared by name."""

import importlib.metadata
import json
from typing import Any

import pytest

from headrace.errors import IntegrityError
from headrace.stages.ingredients import (
    FILE,
    Ingredients,
    Packed,
    differences,
    distributions,
    machine,
    restore,
)

Trained = Any

PLAIN = {
    "builder": "mlp",
    "code": {"code headrace.stages.fitting": "aa", "version keras": "3.15.1"},
    "python": "CPython 3.12.4",
    "distributions": ("aardvark==1.0", "keras==3.15.1"),
    "machine": {"cpu": "A Processor"},
    "execution": {"threads": 2, "xla": False},
    "quarantine": "",
    "files": {},
}


def test_every_distribution_is_listed_with_its_version():
    found = dict(text.split("==") for text in distributions())
    assert list(found) == sorted(found)
    for name in ("keras", "numpy", "great-expectations", "pydantic-core"):
        assert found[name] == importlib.metadata.version(name)
    assert len(found) >= 100


def test_the_machine_is_described_and_so_are_settings_of_libraries(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("A_SECRET", "s3cret")
    found = machine()
    assert found["OMP_NUM_THREADS"] == "1"
    assert found["system"].split()[0] in {"Linux", "Darwin"}
    assert all(found.values())
    assert "s3cret" not in str(found)


def test_equal_ingredients_do_not_differ():
    one = Ingredients.model_validate(PLAIN)
    assert (
        differences(one, Ingredients.model_validate_json(one.model_dump_json())) == ()
    )


def test_a_difference_has_its_kind_its_name_and_both_values():
    changed = {
        **PLAIN,
        "code": {"code headrace.stages.fitting": "bb", "version keras": "3.16.0"},
        "distributions": ("keras==3.16.0", "zebra==2.0"),
        "machine": {"cpu": "A Processor", "gpu": "A GPU"},
        "execution": {"threads": 4, "xla": False},
    }
    found = differences(
        Ingredients.model_validate(PLAIN), Ingredients.model_validate(changed)
    )
    assert [tuple(d.model_dump().values()) for d in found] == [
        ("code", "headrace.stages.fitting", "aa", "bb"),
        ("lock", "keras", "3.15.1", "3.16.0"),
        ("lock", "aardvark", "1.0", ""),
        ("lock", "zebra", "", "2.0"),
        ("device", "gpu", "", "A GPU"),
        ("device", "threads", "2", "4"),
    ]


@pytest.fixture
def packed(trained, tmp_path):
    folder = tmp_path / "pipeline"
    (folder / "blocks").mkdir(parents=True)
    for name in ("model.py", "sizes.py", "blocks/__init__.py", "blocks/wide.py"):
        (folder / name).write_text(f"# {name}\n")
    (folder / "pipeline.toml").write_text("# the pipeline\n")
    (folder / "weights.bin").write_bytes(b"\0")
    spec, snapshot, contract = trained.spec, trained.snapshot, trained.contract
    made = Packed(spec, folder, "model:build", snapshot, contract)
    (folder / "model.py").write_text("edited while it trained\n")
    return made


def test_code_is_packed_as_it_was_when_the_training_began(packed, tmp_path):
    tags = packed.write(tmp_path / "run", {"device": "cpu"})
    files = {
        file.relative_to(tmp_path / "run").as_posix()
        for file in (tmp_path / "run").rglob("*")
        if file.is_file()
    }
    assert files == {
        FILE,
        "pipeline/spec.json",
        "pipeline/pipeline.toml",
        "pipeline/model.py",
        "pipeline/sizes.py",
        "data/snapshot.json",
        "data/contract.json",
    }
    assert (tmp_path / "run/pipeline/model.py").read_text() == "# model.py\n"
    record = json.loads((tmp_path / "run" / FILE).read_bytes())
    assert set(record["files"]) == files - {FILE}
    assert set(tags) == {"headrace.ingredients", "headrace.lock"}


def test_a_record_is_brought_back_as_it_was_written(packed, trained, tmp_path):
    run = tmp_path / "run"
    tag = packed.write(run, {"device": "cpu", "threads": 2})["headrace.ingredients"]
    found = restore(tmp_path / "back", tag, lambda path: (run / path).read_bytes())
    assert found.ingredients == packed.ingredients({"device": "cpu", "threads": 2})
    assert found.spec == trained.spec
    assert (found.snapshot, found.contract) == (trained.snapshot, trained.contract)
    assert (found.folder / "model.py").read_text() == "# model.py\n"


def test_nothing_is_brought_back_that_the_tag_does_not_vouch_for(packed, tmp_path):
    run = tmp_path / "run"
    packed.write(run, {})
    with pytest.raises(IntegrityError, match="Nothing of it was used"):
        restore(tmp_path / "back", "0" * 64, lambda path: (run / path).read_bytes())
    assert not (tmp_path / "back").exists()
