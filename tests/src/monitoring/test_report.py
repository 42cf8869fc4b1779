"""Pictures of answers, whatever a task answers."""

import pytest

from headrace.monitoring.report import draw_answers


@pytest.mark.parametrize(
    "answers", [["a", "b", "a"], [1.0, 2.5, 2.0], [["a"], [], ["a", "b"]]]
)
def test_labels_numbers_and_lists_of_tags_are_drawn(answers):
    uri = draw_answers(answers, answers[:2])
    assert uri.startswith("data:image/png;base64,")
