"""A container engine of our own, two machines on this one, and work that spreads.

Nothing here starts by itself: a test asks for what it needs, and is skipped, with the
reason, where that is not to be had.
"""

import signal
import tempfile
from pathlib import Path

import pytest
from tests.engine.bases import make_bases
from tests.engine.daemon import CACHE, Engine, need_an_engine
from tests.engine.left import state_of_the_machine
from tests.engine.service import Service
from xdist.scheduler import LoadScopeScheduling

# The service for other machines comes and goes; that of one machine is used, broken,
# saved and ended; and then nothing is left.
ORDER = ["test_private", "test_service", "test_faults", "test_pool", "test_keeping"]
ORDER += ["test_left"]


def pytest_collection_modifyitems(items):
    """Put the files of the service last, in their order."""
    here = Path(__file__).parent
    order = {here / f"{name}.py": number for number, name in enumerate(ORDER, 1)}
    items.sort(key=lambda item: order.get(item.path, 0))


class _ServiceBesideTheRest(LoadScopeScheduling):
    """One process has the files of the service, another those without an engine."""

    def _split_scope(self, nodeid):
        file = Path(nodeid.partition("::")[0]).stem
        return "service" if file in ORDER else file


def pytest_xdist_make_scheduler(config, log):
    """What a node's id says decides: pytest 9 keeps no group in it."""
    return _ServiceBesideTheRest(config, log)


@pytest.fixture(scope="session", autouse=True)
def _sigterm_ends_as_ctrl_c_does():
    """So that what a test started is ended as after a failure."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def before():
    """What the machine had before there was an engine."""
    return state_of_the_machine()


@pytest.fixture(scope="session")
def engine(before):
    """A daemon with the images that `infra/` builds on."""
    need_an_engine()
    folder = Path(tempfile.mkdtemp(prefix="headrace-engine-"))
    made = Engine(folder, CACHE / "docker")
    try:
        made.open()
        make_bases(made)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def service(engine, tmp_path_factory):
    """The service, started by the guide."""
    made = Service(engine, tmp_path_factory.mktemp("repository"))
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def promoted(service):
    """The first version of digits, made by a worker: the id of its run."""
    run = service.trigger()
    assert service.ended(run) == "Promoted", service.log()[-3000:]
    return run
