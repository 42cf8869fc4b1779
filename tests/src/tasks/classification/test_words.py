"""What is told of data before a pipeline is made from it."""

import pytest

from headrace.errors import Refusal
from headrace.pipeline import DataSpec
from headrace.settings import Settings
from headrace.use.inspecting import inspect

LETTERS = [(f"a letter about house {n}", "ab"[n % 2]) for n in range(60)]


@pytest.fixture
def see(tmp_path):
    """Write texts into folders of their classes, and look at them."""

    def run(rows):
        for number, (text, label) in enumerate(rows):
            file = tmp_path / "letters" / label / f"{number}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        data = DataSpec(source=str(tmp_path / "letters"))
        settings = Settings(project=tmp_path).prepare_home()
        return inspect(data, "text", "classification", settings)

    return run


def test_a_class_without_a_readable_row_is_left_out_by_name(see):
    found = see([*LETTERS, *[("", "rare")] * 2, ("", "b")])

    assert found.survey.fields == {"classes": ["a", "b"]}
    assert "left out: 'rare', no row that can be read" in found.survey.sentences


def test_a_class_of_few_rows_is_left_out_with_their_number(see):
    found = see([*LETTERS, ("the only one", "rare")])

    assert "left out: 'rare', 1 row in all" in found.survey.sentences
    assert [warning.check for warning in found.warnings] == ["few_rows"]


def test_a_tie_of_the_largest_classes_is_said_to_be_one(see):
    found = see(LETTERS).survey

    (line,) = [line for line in found.sentences if "always saying" in line]
    assert (
        "as large as 1 other, would be right for 50.0% of the test rows; the gate asks"
        in line
    )
    assert line.endswith(": raise it after the first run")


def test_labels_that_name_each_row_are_told_as_such(see):
    rows = [(f"letter {n % 38}", f"row {n:02d}") for n in range(40)]

    with pytest.raises(Refusal, match=r"no two classes with at least 2 rows.*--label"):
        see(rows)


def test_how_many_rows_a_class_needs_is_told(see):
    rows = [(f"letter {n}", f"c{n // 2:02d}") for n in range(20)]

    told = r"no two classes with at least 2 rows in train and 1 in test.* and 5 more\."
    with pytest.raises(Refusal, match=told):
        see(rows)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"a": "same", "b": "same"}, "its 60 rows are all equal"),
        ({"a": "one", "b": "two"}, "its 60 rows are only 2 different items"),
    ],
)
def test_equal_items_are_told_as_the_cause(see, texts, told):
    with pytest.raises(Refusal, match=told) as error:
        see([(texts[label], label) for _, label in LETTERS])
    assert "--label" not in str(error.value)
