"""Small fits and small sources, as the tests of fitting and of sources have them."""

from tests.src.data.sources.conftest import make, read, settings
from tests.src.stages.fitting.conftest import fit, make_data

__all__ = ["fit", "make", "make_data", "read", "settings"]
