"""``headrace gate`` on the command line: what it answers, writes and refuses."""

import pytest
from tests.homes import Home

FILE = """\
medium = "image"  # of pets

[data]
source = "pets"

[[gates]]
name = "accuracy"
threshold = 0.1
"""


@pytest.fixture
def pets(tmp_path):
    """A project without a run, and its pipeline file."""
    file = tmp_path / "pipelines" / "pets" / "pipeline.toml"
    file.parent.mkdir(parents=True)
    file.write_text(FILE)
    home = Home(tmp_path / "home", tmp_path)
    home.path.mkdir()
    return home, file


def test_a_threshold_is_written_and_answered(pets):
    home, file = pets
    answer = home.headrace("gate", "pets", "accuracy", "0.95", "--json")
    assert answer.exit_code == 0, answer.err
    assert answer.json["status"] == "written"
    assert answer.json["file"] == str(file)
    change = {"name": "accuracy", "before": 0.1, "after": 0.95}
    assert answer.json["changed"] == [change]
    comment = "  # headrace gate: was 0.1; set by hand"
    assert file.read_text() == FILE.replace("0.1", f"0.95{comment}")
    listed = home.headrace("gate", "pets")
    assert (listed.exit_code, "accuracy    0.95" in listed.out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["accuracy", "95"], 2, "Did you mean 0.95?"),
        (["accuracy"], 2, "without a value"),
        (["accuracy", "0.9", "--suggested"], 2, "exclude each other"),
        (["accuracy", "high"], 2, "VALUE"),
        (["--suggested"], 1, "Run `headrace run pets` first"),
    ],
)
def test_a_mistake_is_refused_and_nothing_is_written(
    pets, arguments, exit_code, message
):
    home, file = pets
    answer = home.headrace("gate", "pets", *arguments, "--json")
    assert answer.exit_code == exit_code
    assert message in answer.json["reason"]
    assert file.read_text() == FILE
