"""The store: one fsspec location for snapshots, stage records and reports.

It maps keys to bytes. Every write is atomic: on a disk by a temporary file, fsync and
an atomic rename; in object storage, where an object appears whole, by writing a
folder's marker last. Responses of a remote store are not cached. Each call has a
timeout, and only `remote` retries it.
"""

from headrace.state.store.disk import (
    atomic_file,
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
    "atomic_file",
    "disk_error",
    "disk_errors",
    "file_system",
    "fsync_path",
    "full_disk",
    "is_full",
    "read",
]
