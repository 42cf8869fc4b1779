import pytest

from headrace.state.store import Store


@pytest.fixture
def store(tmp_path):
    """A store without a log."""
    return Store(str(tmp_path / "store"))
