"""Names of tags, and which of them people see."""

from __future__ import annotations

from headrace.state.tracking.names import own_names, unshown


def test_tags_for_headrace_alone_are_on_no_page_and_read_by_their_own_names() -> None:
    tags = {"headrace.process": "p", "verdict": "passed", "mlflow.user": "ada"}
    written = unshown(tags)
    assert {key for key in written if not key.startswith("mlflow.")} == {"verdict"}
    assert tags.items() <= own_names(written).items()


def test_tags_that_an_older_release_wrote_are_read() -> None:
    assert own_names({"headrace.process": "p"})["headrace.process"] == "p"
