"""An opened home: what is opened when, and where there is none."""

import pytest

from headrace.errors import NotFoundError
from headrace.settings import Settings
from headrace.state.home import Home


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path, home=tmp_path / "home", user="ada@lab")


def test_a_home_that_is_only_read_is_not_made(settings):
    with pytest.raises(NotFoundError, match=r"no home at .*home, so there is no model"):
        Home.existing(settings, "model 'digits'")
    assert not settings.home.exists()


def test_a_ledger_elsewhere_needs_no_home(settings, tmp_path):
    elsewhere = {"database_url": f"sqlite:///{tmp_path}/ledger.db"}
    home = Home.existing(settings.model_copy(update=elsewhere), "model 'digits'")
    assert home.ledger.models() == []
    assert not settings.home.exists()


def test_what_is_not_used_is_not_opened(settings):
    settings.prepare_home()
    home = Home.existing(settings, "model 'digits'")
    before = sorted(path.name for path in settings.home.iterdir())
    home.store.write("stages/a.json", b"{}")
    now = {path.name for path in settings.home.iterdir()} - {*before}
    assert now == {"store"}
