"""A threshold is written into a pipeline file, and all else stays as it is."""

import difflib
import tomllib

import pytest

from headrace.spec.editing import add_gates, as_toml, set_threshold

FILE = """\
# headrace run pets

medium = "image"

[[gates]]  # the first
name = "accuracy"
threshold = 0.225   # as the customer asks

# Nothing odd.
[[ gates ]]
name = 'finite'

[[gates]]
threshold=3
name = "a[b]#c"
[gates.arguments]
threshold = 7

# When it runs.
[deploy]
cron = "0 6 * * *"
"""


def changes(before, after):
    lines = difflib.ndiff(before.splitlines(True), after.splitlines(True))
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        (
            0,
            [
                "- threshold = 0.225   # as the customer asks\n",
                "+ threshold = 0.5   # as the customer asks  # headrace gate: why\n",
            ],
        ),
        (1, ["+ threshold = 0.5  # headrace gate: why\n"]),
        (2, ["- threshold=3\n", "+ threshold=0.5  # headrace gate: why\n"]),
    ],
)
def test_one_line_changes_and_the_comments_stay(place, changed):
    after = set_threshold(FILE, place, 0.5, "why")
    assert changes(FILE, after) == changed
    expected = tomllib.loads(FILE)
    expected["gates"][place]["threshold"] = 0.5
    assert tomllib.loads(after) == expected


def test_its_own_comment_is_replaced_and_not_piled_up():
    once = set_threshold(FILE, 0, 0.5, "why")
    twice = set_threshold(once, 0, 0.6, "again")
    assert "why" not in twice
    assert "0.6   # as the customer asks  # headrace gate: again\n" in twice
    assert set_threshold(twice, 0, 0.5, "why") == once


def test_line_ends_of_another_system_stay():
    windows = FILE.replace("\n", "\r\n")
    for place in range(3):
        after = set_threshold(windows, place, 0.5, "why")
        assert after == set_threshold(FILE, place, 0.5, "why").replace("\n", "\r\n")
    added = add_gates(windows, [("latency", 5)])
    assert added == add_gates(FILE, [("latency", 5)]).replace("\n", "\r\n")


def test_a_gate_is_added_behind_the_others_with_the_arguments_of_the_last():
    after = add_gates(FILE, [("latency", 5.0)])
    added = '\n[[gates]]\nname = "latency"\nthreshold = 5  # headrace gate: added\n'
    above = "\n# When it runs.\n"
    assert after == FILE.replace(above, added + above)
    expected = tomllib.loads(FILE)
    expected["gates"].append({"name": "latency", "threshold": 5})
    assert tomllib.loads(after) == expected


@pytest.mark.parametrize("text", ['medium = "image"', 'a = 1\n\n[data]\nb = "c"\n\n\n'])
def test_a_file_without_gates_gets_them_at_its_end(text):
    after = add_gates(text, [("accuracy", 0.5), ("finite", None)])
    assert after.startswith(text.rstrip())
    assert after.endswith('\n\n[[gates]]\nname = "finite"\n')
    gates = [{"name": "accuracy", "threshold": 0.5}, {"name": "finite"}]
    assert tomllib.loads(after) == {**tomllib.loads(text), "gates": gates}


@pytest.mark.parametrize("value", [0.9692, 5.0, 1e-7, 1e22, -0.25, 0.1 + 0.2])
def test_a_number_is_written_as_it_is(value):
    assert tomllib.loads(f"value = {as_toml(value)}")["value"] == value
