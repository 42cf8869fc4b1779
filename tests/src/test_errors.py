"""The exception tree: what is told, and which exit code goes with it."""

from __future__ import annotations

import inspect

import pytest

from headrace import errors
from headrace.errors import HeadraceError

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
def test_every_error_says_what_was_seen_and_what_to_do(
    kind: type[HeadraceError],
) -> None:
    error = kind("Row 3 is blue.", "Paint it.")
    assert (error.message, error.action) == ("Row 3 is blue.", "Paint it.")
    assert str(error) == "Row 3 is blue. Paint it."
    assert error.exit_code == EXIT_CODES.get(kind.__name__, 1)


def test_the_tree_is_drawn_in_full() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in drawn] == []
