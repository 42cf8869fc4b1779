"""Object storage that can be broken, for tests of runs in it."""

from __future__ import annotations

from tests.faults.storage import (  # noqa: F401
    moto_url,
    place,
    run_on_a_disk,
    storage,
)
