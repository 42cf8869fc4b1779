"""Object storage that can be broken, and servers, for tests of runs in it."""

from tests.faults.storage import (  # noqa: F401
    moto_url,
    place,
    run_on_a_disk,
    storage,
)
from tests.integration.conftest import new_home, start_up, take_down  # noqa: F401
