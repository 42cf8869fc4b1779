"""The store, checked against the ledger.

Write access to the store does not include the ledger. So the ledger has the sha256 of
each file that counts as evidence; a file with another sha256, or with none, is ignored.
"""

from headrace.data.anchored.adoption import open_anchored
from headrace.data.anchored.store import AnchoredStore

__all__ = ["AnchoredStore", "open_anchored"]
