"""The only door to MLflow: runs, logged models, the registry's versions and aliases.

Models are logged in MLflow's ``keras`` flavour and read back as plain files by
digest; nothing is ever loaded through ``pyfunc``, which runs code from the store.
"""

from headrace.tracking.children import Child, Children
from headrace.tracking.door import tracking_errors
from headrace.tracking.models import MODEL_FILE, Models, file_digest
from headrace.tracking.names import plain_part
from headrace.tracking.runs import FoundRun

__all__ = [
    "MODEL_FILE",
    "Child",
    "FoundRun",
    "Tracking",
    "file_digest",
    "plain_part",
    "tracking_errors",
]


class Tracking(Children, Models):
    """MLflow at one address, as the settings have it."""
