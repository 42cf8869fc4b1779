"""The store as far as the ledger vouches for it.

Whoever can write the store cannot write the ledger. So what is kept there and counts
as evidence has its sha256 in the ledger: what differs from it, or has none, is absent.
"""

from headrace.data.anchored.adoption import open_anchored
from headrace.data.anchored.store import AnchoredStore

__all__ = ["AnchoredStore", "open_anchored"]
