"""Deletes the golden answers of versions that show forgotten items.

The ledger records first that they are gone, so a killed call can be repeated. In their
place the store has the version's own answer to an item of zeros, with which engines are
still compared: a champion is served until its model is trained anew.
"""

from __future__ import annotations

import contextlib

import numpy as np

from headrace.data.forgotten import ForgottenItems
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.arrow import as_hex
from headrace.media.digests import digests
from headrace.models.logged.copies import golden_key, zeros_key
from headrace.models.logged.golden import Golden, golden_bytes
from headrace.models.logged.loading import load_version
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.ledger.facts import version_key
from headrace.state.tracking import GOLDEN_FILE
from headrace.state.tracking.disposal import Disposal


def delete_golden(version: Version, home: Home, forgotten: ForgottenItems) -> int:
    """Delete a version's golden answers, if they show forgotten items.

    Returns:
        the number of forgotten items that they showed.

    Raises:
        DependencyError: MLflow, the store or the ledger failed.
    """
    store, copy, is_logged = home.store, golden_key(version), True
    try:
        data = home.tracking.version_golden(version)
    except IntegrityError:  # it was collected, or lost
        if not store.exists(copy):
            return 0
        data, is_logged = store.read(copy), False
    golden, description = Golden.read(data), version.description
    shas = digests(np.ascontiguousarray(golden.items), medium(description.medium))
    count = int(forgotten.has_items(as_hex(shas).to_pylist()).sum())
    if not count:
        return 0
    if not home.ledger.facts.is_deleted(version):
        gone = {version_key(version): "golden answers"}
        home.ledger.facts.record_deleted(gone, home.settings.user)
    with contextlib.suppress(IntegrityError):  # the model's file was collected
        model = load_version(home.tracking, version).model
        data = golden_bytes(model, np.zeros_like(golden.items[:1]), description)
        store.write(zeros_key(version), data)
    store.delete(copy)
    if is_logged:
        Disposal(home.settings).delete_artifact(version.run_id, GOLDEN_FILE)
    return count
