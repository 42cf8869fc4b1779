"""Takes forgotten items out of the golden answers of versions.

Golden answers are those to the first rows of train. What is left is bound to the
version in the ledger first and written then, so a killed call can be repeated.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from headrace.data.forgotten import ForgottenItems
from headrace.errors import IntegrityError, NotFoundError
from headrace.media import medium
from headrace.media.digests import digests
from headrace.models.logged.golden import Golden
from headrace.models.logged.loading import golden_bytes, load_version
from headrace.models.logged.soundness.checks import logged_model
from headrace.state.anchored import AnchoredStore
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.tracking import GOLDEN_FILE
from headrace.state.tracking.artifacts import put, run_places

_SHA = 32  # bytes
WHY = "items were forgotten in its golden answers"


def take_out(version: Version, home: Home, forgotten: ForgottenItems) -> int:
    """Take forgotten items out of a version's golden answers.

    Returns:
        the number of items that were taken out.

    Raises:
        IntegrityError: the golden file is none that the ledger has recorded.
        DependencyError: MLflow, the store or the ledger failed.
    """
    tracking, anchored = home.tracking, home.anchored
    copy = f"models/{version.model_digest}/golden.npz"
    try:
        data, is_logged = tracking.run_file(version.run_id, GOLDEN_FILE), True
    except IntegrityError:  # it was collected, or lost
        if not anchored.store.exists(copy):
            return 0
        data, is_logged = anchored.store.read(copy), False
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 not in _recorded(version, anchored):
        raise IntegrityError(
            f"The golden answers of {version} are not what was recorded.",
            f"Run `headrace verify {version.model}/{version.version} --repair` first.",
        )
    golden, description = Golden.read(data), logged_model(version).description
    shas = digests(np.ascontiguousarray(golden.items), medium(description.medium))
    hexes = [shas[at : at + _SHA].hex() for at in range(0, len(shas), _SHA)]
    gone = forgotten.has_items(hexes)
    if not gone.any():
        return 0
    if gone.all():  # one answer is left, to an item of zeros
        model = load_version(tracking, version).model
        left = golden_bytes(model, np.zeros_like(golden.items[:1]), description)
    else:
        buffer = io.BytesIO()
        np.savez(buffer, items=golden.items[~gone], outputs=golden.outputs[~gone])
        left = buffer.getvalue()
    digest = hashlib.sha256(left).hexdigest()
    if digest != version.golden_digest:
        files = {
            name: getattr(version, name)
            for name in ("run_id", "model_uri", "model_digest")
        }
        values = {
            **files,
            "golden_digest": digest,
            "who": home.settings.user,
            "why": WHY,
        }
        version = home.ledger.bind(version, **values, details={})
    if is_logged:
        _write(version, left, home)
    if anchored.store.exists(copy):
        anchored.store.write(copy, left)
    return int(gone.sum())


def _recorded(version: Version, anchored: AnchoredStore) -> set[str]:
    """Every sha256 that the golden file of a version has had."""
    training = version.details.get("training", {})
    return {version.golden_digest, str(training.get("golden_digest", ""))} | {
        binding.golden_digest
        for binding in anchored.ledger.bindings(version.model)
        if binding.version == version.version
    }


def _write(version: Version, data: bytes, home: Home) -> None:
    tracking = home.tracking
    place = run_places(version, home.settings.artifacts)[0]
    with contextlib.suppress(NotFoundError):
        place = tracking.run_place(version.run_id)
    with TemporaryDirectory(prefix="headrace-") as folder:
        file = Path(folder) / "golden.npz"
        file.write_bytes(data)
        put(tracking.uri, place, GOLDEN_FILE, file)
