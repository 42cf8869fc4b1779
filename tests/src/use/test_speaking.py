"""Which model says a message that names none."""

import pytest
from tests.src.state.ledger.conftest import WHO, a_version

from headrace.errors import NotFoundError, UsageError
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.use.speaking import find_speaker

SPEAKS = {"description": {"task": "synthesis"}}
OTHERS = {
    "digits": {"description": {"medium": "image"}},
    "old": {},
    "foreign": {"description": {"task": "of_an_uninstalled_package"}},
}


def a_home(folder, champions):
    folder.mkdir(exist_ok=True)
    settings = Settings(home=folder, project=folder)
    ledger = Ledger(settings.database_url)
    for model, details in champions.items():
        ledger.add_version(a_version(1, model, details=details))
        ledger.promote(
            model, 1, who=WHO, why="it speaks", expected_sequence=0, forced=True
        )
    return settings


def test_the_only_champion_that_speaks_is_found(tmp_path):
    settings = a_home(tmp_path, {**OTHERS, "voice": SPEAKS})
    Ledger(settings.database_url).add_version(a_version(1, "newer", details=SPEAKS))
    assert find_speaker(settings) == "voice"


def test_none_and_several_are_refused(tmp_path):
    with pytest.raises(NotFoundError, match="no champion that speaks"):
        find_speaker(Settings(home=tmp_path / "new", project=tmp_path))
    with pytest.raises(NotFoundError, match="no champion that speaks"):
        find_speaker(a_home(tmp_path / "others", OTHERS))
    both = a_home(tmp_path / "both", {"voice": SPEAKS, "bass": SPEAKS})
    with pytest.raises(UsageError, match="Several models speak: bass, voice"):
        find_speaker(both)
