"""The exception tree: what is told, and which exit code goes with it."""

import inspect
import pickle

import pytest

from headrace import errors
from headrace.errors import DependencyError, HeadraceError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, HeadraceError)
]
EXIT_CODES = {
    "UsageError": 2,
    "SpecError": 2,
    "NotFoundError": 2,
    "DependencyError": 3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_what_was_seen_and_what_to_do(kind):
    error = kind("Row 3 is blue.", "Paint it.")
    assert (error.message, error.action) == ("Row 3 is blue.", "Paint it.")
    assert str(error) == "Row 3 is blue. Paint it."
    assert error.exit_code == EXIT_CODES.get(kind.__name__, 1)


def test_what_to_do_is_no_part_of_the_last_line_of_a_list():
    error = HeadraceError("Rows are off:\n- row 3 is blue.\n- row 4 is red.", "Paint.")
    assert str(error).splitlines()[-2:] == ["- row 4 is red.", "Paint."]


def test_the_tree_is_drawn_in_full():
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in drawn] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "at postgresql://ada:s3cr:et@host:5/x now",
            "at postgresql://ada:***@host:5/x",
        ),
        ("http://ada:pass%2Fword@host/api", "http://ada:***@host/api"),
        ("https://host:5000/a@b", "https://host:5000/a@b"),
        ("s3://bucket/key", "s3://bucket/key"),
    ],
)
def test_no_error_holds_the_password_of_a_url(text, shown):
    error = HeadraceError(text, text)
    assert error.message.startswith(shown)
    assert str(error).count(shown) == 2


def test_an_error_crosses_to_another_process_whole():
    error = DependencyError("It is away.", "Wait.", was_retried=True)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.message, copy.action) == (error.message, error.action)
    assert copy.was_retried
