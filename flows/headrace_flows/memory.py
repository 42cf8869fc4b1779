"""Memory between two stages of a run."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys


def give_memory_back() -> None:
    """Return to the system what a stage has freed, before the next takes its own."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
