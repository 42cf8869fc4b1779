"""The only access to MLflow: runs, logged models, registered versions and aliases.

Models are logged in MLflow's ``keras`` flavour and read back as files that are checked
by digest. Nothing is loaded through ``pyfunc``, which runs code from the store.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.state.tracking.artifacts import (
    digest_at,
    file_digest,
    local_path,
    model_places,
    run_places,
)
from headrace.state.tracking.models import (
    GOLDEN_FILE,
    MODEL_FILE,
    WEIGHTS_TAG,
    Models,
    version_tags,
)
from headrace.state.tracking.runs import Runs

if TYPE_CHECKING:
    from headrace.state.ledger import Version

__all__ = ["GOLDEN_FILE", "MODEL_FILE", "WEIGHTS_TAG", "Tracking", "version_tags"]


class Tracking(Runs, Models):
    """MLflow at the tracking URI of the settings."""

    @contextlib.contextmanager
    def version_file(self, version: Version) -> Iterator[Path]:
        """A copy of the Keras file of a registered version, checked by digest.

        Raises:
            IntegrityError: it is gone, or not the file that was registered.
        """
        digest = version.model_digest
        for place in model_places(version, self.artifacts):
            path = local_path(place)
            if path is None or digest_at(f"{place}/{MODEL_FILE}") != digest:
                continue
            with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
                copy = Path(folder) / "model.keras"
                shutil.copyfile(path / MODEL_FILE, copy)
                if file_digest(copy) == digest:
                    yield copy
                    return
        with self.model_file(version.model_uri, digest) as file:
            yield file

    def version_golden(self, version: Version, path: str) -> bytes:
        """The golden file of a registered version, checked if its digest is known.

        Args:
            version: its row in the ledger.
            path: of the file below the run's artifacts.

        Raises:
            IntegrityError: it is gone or changed.
        """
        digest = version.golden_digest
        for place in run_places(version, self.artifacts):
            folder = local_path(place)
            if folder is not None and digest_at(f"{place}/{path}") == digest:
                return (folder / path).read_bytes()
        return self.run_file(version.run_id, path, digest)
