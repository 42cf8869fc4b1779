"""Where bytes live: one fsspec location for snapshots, stage records and reports.

Knows keys and bytes, not what they mean. Everything is written whole or not at all:
on a disk by a temporary name, fsync and rename; in object storage, which has no
rename, an object at once and a folder with its marker last. What a remote store
answers is never kept in memory, and each call to it has a time limit and one owner
that tries it again: `remote`.
"""

from headrace.state.store.disk import (
    disk_error,
    disk_errors,
    fsync_path,
    full_disk,
    is_full,
)
from headrace.state.store.remote import file_system, read
from headrace.state.store.store import Store

__all__ = [
    "Store",
    "disk_error",
    "disk_errors",
    "file_system",
    "fsync_path",
    "full_disk",
    "is_full",
    "read",
]
