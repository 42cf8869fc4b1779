"""Which rows were set aside: a file whose name has the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import IntegrityError
from headrace.media.arrow import read_parquet
from headrace.state.store import read

# Older releases wrote the first 16 digits.
_NAME = re.compile(r"-([0-9a-f]{16,64})\.parquet$")


def quarantine_name(data: bytes) -> str:
    """How the name of a quarantine with these bytes ends."""
    return f"-{hashlib.sha256(data).hexdigest()}.parquet"


def read_quarantine(uri: str) -> bytes:
    """The bytes of a quarantine.

    Raises:
        IntegrityError: it is gone, or not the file that its name says.
    """
    try:
        data = read(uri)
    except OSError as error:
        raise IntegrityError(
            f"The quarantine {uri} cannot be read: {error.strerror or error}.",
            "Restore it from a backup, or run the pipeline again.",
        ) from error
    named = _NAME.search(uri)
    digest = hashlib.sha256(data).hexdigest()
    if named is None or not digest.startswith(named.group(1)):
        raise IntegrityError(
            f"The quarantine {uri} is not the file that was written: its sha256 is "
            f"{digest[:16]}....",
            "Delete it, and run the pipeline again.",
        )
    return data


def quarantined_rows(uri: str, split: str) -> npt.NDArray[np.int64]:
    """The quarantined rows of a split, as sorted indices in the hash order.

    Args:
        uri: of a `ContractRecord`; empty: nothing was set aside.
        split: train, val or test.

    Raises:
        IntegrityError: the quarantine is gone or damaged.
    """
    if not uri:
        return np.empty(0, np.int64)
    try:
        table = read_parquet(read_quarantine(uri), ["row", "split"])
    except (OSError, KeyError, pa.ArrowException) as error:
        raise IntegrityError(
            f"The quarantine {uri} cannot be read: {error}.",
            "Run the pipeline again.",
        ) from None
    rows = table.filter(pc.equal(table["split"], split))["row"].to_numpy()
    # An item that was rejected before it had a row has a negative one.
    kept: npt.NDArray[np.int64] = np.unique(rows[rows >= 0])
    return kept
