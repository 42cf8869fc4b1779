"""The store: one fsspec location for snapshots, stage records and reports.

It maps keys to bytes. Every write is atomic. On a disk that takes a temporary name,
fsync and rename. Object storage has no rename: an object is written at once, and a
folder gets its marker last. Answers of a remote store are not cached. Each call has a
time limit, and only `remote` retries it.
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
