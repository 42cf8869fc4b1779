import pytest

from headrace.records import DataDescription


@pytest.fixture
def data():
    """Images with up to three tags."""
    target = {"tags": ["a", "b", "c"], "separator": "|"}
    return DataDescription(
        medium="image", task="tagging", shape=(8, 8, 1), target=target
    )
