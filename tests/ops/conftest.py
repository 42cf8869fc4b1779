"""An empty home for what keeps running, as the flows' tests have it."""

from tests.flows.conftest import home

__all__ = ["home"]
