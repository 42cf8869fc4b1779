"""The only access to MLflow: runs, logged models, registered versions and aliases."""

from headrace.state.tracking.models import (
    GOLDEN_FILE,
    MODEL_FILE,
    REPORT_FILE,
    WEIGHTS_TAG,
    Tracking,
    version_tags,
)

__all__ = [
    "GOLDEN_FILE",
    "MODEL_FILE",
    "REPORT_FILE",
    "WEIGHTS_TAG",
    "Tracking",
    "version_tags",
]
