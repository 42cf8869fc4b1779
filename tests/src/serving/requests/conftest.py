import pytest

from headrace.settings import Settings


@pytest.fixture
def settings(tmp_path):
    """The settings of a home without a log."""
    return Settings(project=tmp_path, home=tmp_path / "home")
