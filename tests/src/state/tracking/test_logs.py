"""Names of tags, and which of them people see."""

from headrace.state.tracking.logs import from_mlflow_tags, to_mlflow_tags


def test_tags_for_headrace_alone_are_on_no_page_and_read_by_their_own_names():
    tags = {"headrace.process": "p", "verdict": "passed", "mlflow.user": "ada"}
    written = to_mlflow_tags(tags)
    assert {key for key in written if not key.startswith("mlflow.")} == {"verdict"}
    assert tags.items() <= from_mlflow_tags(written).items()


def test_tags_that_an_older_release_wrote_are_read():
    assert from_mlflow_tags({"headrace.process": "p"})["headrace.process"] == "p"
