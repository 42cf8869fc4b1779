"""What is law, what overrides it, and how two laws differ, in words."""

from dataclasses import asdict

import pytest

from headrace.errors import NotFoundError
from headrace.pipeline import PipelineSpec, load_spec
from headrace.pipeline.law import Law, changes, law_of, read_law, recorded_changes

FILE = """
medium = "image"
[data]
source = "images"
test_fraction = 0.25
[[contract]]
expectation = "expect_column_mean_to_be_between"
column = "mean"
min_value = 10
[[contract]]
expectation = "expect_column_max_to_be_between"
column = "mean"
max_value = 200
[[gates]]
name = "accuracy"
threshold = 0.9
[[gates]]
name = "finite"
"""


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "shapes"
    place.mkdir()
    (place / "pipeline.toml").write_text(FILE)
    return place


def changed(folder, *overrides):
    law = read_law(load_spec(folder, overrides), folder, folder)
    return [str(change) for change in law.changes]


def test_a_run_of_the_file_as_it_is_overrides_nothing(folder):
    law = read_law(load_spec(folder), folder, folder)
    assert (law.overrides, law.changes) == ((), ())
    assert law.file == FILE
    assert law.digest == Law(law.committed, {}, "").digest
    assert recorded_changes(asdict(law)) == ()


@pytest.mark.parametrize(
    ("override", "fields", "words"),
    [
        ("promotion.mode=manual", ["promotion.mode"], ["promotion.mode auto → manual"]),
        (
            "data.test_fraction=0.5",
            ["data.test_fraction"],
            ["data.test_fraction 0.25 → 0.5"],
        ),
        ("evaluation.confidence=0.9", ["evaluation.confidence"], None),
        ("data.where={x='1'}", ["data.where"], None),
        ("data.leak_limit=0.9", ["data.leak_limit"], None),
        (
            "gates=[{name='accuracy', threshold=0.5}]",
            ["gates"],
            [
                "gates.accuracy.threshold 0.9 → 0.5",
                "gates.finite non_finite_values at most 0 → none",
            ],
        ),
        (
            "contract=[]",
            ["contract"],
            [
                "contract.expect_column_max_to_be_between(mean) [max_value = 200] "
                "→ none",
                "contract.expect_column_mean_to_be_between(mean) [min_value = 10] "
                "→ none",
            ],
        ),
        ("name=other", ["name"], ["name shapes → other"]),
    ],
)
def test_an_override_of_the_law_is_named_with_what_was_and_is(
    folder, override, fields, words
):
    law = read_law(load_spec(folder, (override,)), folder, folder)
    assert list(law.overrides) == fields
    assert words is None or changed(folder, override) == words
    assert law.digest == read_law(load_spec(folder), folder, folder).digest


@pytest.mark.parametrize(
    "override",
    [
        "data.source=elsewhere",
        "training.seed=7",
        "model.builder=cnn",
        "description=other",
        "deploy.pool=gpu",
        "data.test_fraction=0.25",
        "gates=[{name='finite'}, {name='accuracy', threshold=0.9}]",
        "promotion.mode=auto",
    ],
)
def test_what_is_no_law_or_equal_overrides_nothing(folder, override):
    assert changed(folder, override) == []


def test_a_spec_that_came_as_json_is_the_same_law(folder):
    sent = load_spec(folder).model_dump_json()
    spec = PipelineSpec.model_validate_json(sent)
    assert read_law(spec, folder, folder).overrides == ()


def test_a_folder_from_the_store_is_called_by_its_digest(folder, tmp_path):
    spec = load_spec(folder)
    unpacked = tmp_path / ("0" * 64)
    folder.rename(unpacked)
    assert read_law(spec, unpacked, tmp_path).overrides == ()


def test_the_digest_is_of_what_the_file_means(folder):
    before = read_law(load_spec(folder), folder, folder).digest
    file = folder / "pipeline.toml"
    gates = FILE[FILE.index("[[gates]]") :]
    turned = '[[gates]]\nname = "finite"\n[[gates]]\nname = "accuracy"\nthreshold = 0.9'
    file.write_text("# a comment\n" + FILE.replace(gates, turned))
    assert read_law(load_spec(folder), folder, folder).digest == before
    file.write_text(FILE.replace("0.9", "0.8"))
    assert read_law(load_spec(folder), folder, folder).digest != before


def test_two_files_differ_by_gate_and_field(folder):
    before = law_of(load_spec(folder))
    after = law_of(load_spec(folder, ("gates=[{name='accuracy', threshold=0.8}]",)))
    (first, second) = changes(before, after)
    assert (first.field, first.before, first.after) == (
        "gates.accuracy.threshold",
        0.9,
        0.8,
    )
    assert (second.field, second.after) == ("gates.finite", None)
    assert Law(before, after, "").overrides == ("gates",)
    assert changes({}, after) == changes(before, {}) == ()


def test_a_gate_without_a_threshold_is_told_by_its_kind(folder):
    gate = '[{name="fair", kind="fairness", metric="low", arguments={gap=0.1}}]'
    assert "gates.fair none → low by fairness" in changed(folder, f"gates={gate}")


def test_without_a_file_there_is_no_law(folder, tmp_path):
    with pytest.raises(NotFoundError, match=r"holds no pipeline\.toml"):
        read_law(load_spec(folder), tmp_path, tmp_path)
