"""Runs are named by the fields that differ."""

import shutil

import pytest

from headrace.errors import SpecError
from headrace.pipeline import load_spec
from headrace.pipeline.files import fields_of, fields_of_file
from headrace.pipeline.law import changes_of_fields, name_by_changes, title_of
from headrace.pipeline.readme import read_readme

FILE = """
medium = "image"
[data]
source = "digits.npz"
[model]
builder = "mlp"
[[gates]]
name = "accuracy"
threshold = 0.9
"""


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "digits"
    place.mkdir()
    (place / "pipeline.toml").write_text(FILE)
    return place


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ((), "mlp"),
        (("training.epochs=30",), "mlp epochs=30"),
        (("training.epochs=30", "training.seed=2"), "mlp epochs=30 seed=2"),
        (("data.source=/big/disk/mnist.npz",), "mlp source=mnist.npz"),
        (("gates=[]",), "mlp gates"),
        (("model.arguments.hidden=[64, 32]",), "mlp hidden=[64, 32]"),
        (("description=it's",), "mlp description=it_s"),
        (
            (
                *("training.epochs=3", "training.seed=2"),
                *("training.momentum=0.5", "training.batch_size=32"),
            ),
            "mlp epochs=3 batch_size=32 momentum=0.5 and 1 more",
        ),
    ],
)
def test_a_run_is_named_by_what_it_overrides(folder, overrides, name):
    spec = load_spec(folder, overrides)
    assert name_by_changes("mlp", fields_of_file(spec, folder), fields_of(spec)) == name


def test_the_source_of_the_file_is_no_override(folder, tmp_path):
    """Also where a worker has a copy of the folder."""
    source = f"data.source={tmp_path}/digits/digits.npz"
    copy = shutil.copytree(folder, tmp_path / "5f2d")
    for place in (folder, copy):
        spec = load_spec(place, (source,), name="digits")
        assert fields_of_file(spec, place) == fields_of(spec)


def test_a_builder_with_the_name_of_the_pipeline_is_named(folder):
    spec = load_spec(folder, ("model.builder=cnn",), name="cnn")
    assert title_of(spec, folder).startswith("cnn builder=cnn")


def test_a_file_that_cannot_be_read_differs_in_nothing(folder):
    spec = load_spec(folder)
    (folder / "pipeline.toml").write_text("epochs = ")
    assert fields_of_file(spec, folder) == fields_of(spec)


def test_changes_say_what_was_and_what_is(folder):
    before = fields_of(load_spec(folder))
    after = fields_of(load_spec(folder, ("training.epochs=30",)))
    assert [str(change) for change in changes_of_fields(before, after)] == [
        "training.epochs 10 → 30"
    ]


def test_a_rule_on_several_fields_names_them_and_shows_no_table(folder):
    with pytest.raises(SpecError) as raised:
        load_spec(folder, ("training.ngrams=3", "training.epochs=2"))
    assert str(raised.value).splitlines()[0] == (
        "--set training.ngrams=3: training.ngrams means nothing to the task "
        "classification (value 3); leave it out."
    )
    file = folder / "pipeline.toml"
    file.write_text(FILE + "[training]\nngrams = 3\n")
    with pytest.raises(SpecError) as raised:
        load_spec(folder, ("training.epochs=2",))
    assert str(raised.value).startswith(f"{file}: training.ngrams means nothing")


def test_a_file_may_begin_with_a_mark_of_its_encoding(tmp_path):
    text = 'medium = "image"\n[data]\nsource = "x"\n'
    (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8-sig")
    assert load_spec(tmp_path).medium == "image"


def test_bytes_of_a_readme_that_are_no_text_are_replaced(tmp_path):
    text = 'medium = "image"\n[data]\nsource = "x"\n'
    (tmp_path / "pipeline.toml").write_text(text)
    (tmp_path / "README.md").write_bytes(b"Caf\xe9 reviews.")
    assert read_readme(load_spec(tmp_path), tmp_path) == "Caf\ufffd reviews."
