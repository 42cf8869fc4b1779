"""The engine is ended, and the machine is as it was before."""

from tests.engine.daemon import remove_cgroups
from tests.engine.left import processes_of, state_of_the_machine


def test_nothing_is_left(before, engine):
    engine.close()
    assert not engine.folder.exists()
    assert processes_of(engine.folder) == []
    assert remove_cgroups() == []
    assert state_of_the_machine() == before
