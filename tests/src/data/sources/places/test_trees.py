"""Names of files in folders and archives."""

from __future__ import annotations

from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st

from headrace.data.sources.places import trees
from headrace.errors import SourceError


def answer_to(name):
    try:
        return trees.relative_name(name, "data")
    except SourceError as error:
        return f"refused: {error}"


@given(st.text(alphabet="ab.:/\\ -_\n\x00é1", max_size=12))
@example("a.png\n")
@example("a/b/../c.png")
@example("a" * 2000)
def test_a_plain_name_is_what_all_checks_make_of_it(name: str) -> None:
    fast = answer_to(name)
    with mock.patch.object(trees, "_PLAIN", mock.Mock(fullmatch=lambda _: None)):
        assert fast == answer_to(name)


def test_a_usual_name_is_plain():
    assert trees._PLAIN.fullmatch("train/7 of 9/00012-a_b.png")
