"""Quarantined rows: a file with the sha256 of its bytes in its name."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import IntegrityError
from headrace.media.arrow import read_parquet
from headrace.state.remote import read

# Older releases wrote the first 16 digits.
_NAME = re.compile(r"-([0-9a-f]{16,64})\.parquet$")


def quarantine_name(data: bytes) -> str:
    """The end of the name of a quarantine with these bytes."""
    return f"-{hashlib.sha256(data).hexdigest()}.parquet"


def read_quarantine(uri: str) -> bytes:
    """The bytes of a quarantine.

    Raises:
        IntegrityError: it is missing, or its sha256 is not that in its name.
    """
    try:
        data = read(uri)
    except OSError as error:
        raise IntegrityError(
            f"The quarantine {uri} cannot be read: {error.strerror or error}.",
            "Restore it from a backup, or run the pipeline again.",
        ) from error
    name = _NAME.search(uri)
    digest = hashlib.sha256(data).hexdigest()
    if name is None or not digest.startswith(name.group(1)):
        raise IntegrityError(
            f"The quarantine {uri} is not the file that was written: its sha256 is "
            f"{digest[:16]}....",
            "Delete it, and run the pipeline again.",
        )
    return data


def quarantined_rows(uri: str, split: str) -> npt.NDArray[np.int64]:
    """The quarantined rows of a split, as sorted indices in the hash order.

    Args:
        uri: the quarantine of a `ContractRecord`; empty if there is none.

    Raises:
        IntegrityError: the quarantine is missing or damaged.
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
    # Items that were rejected in decoding have negative rows.
    return np.asarray(np.unique(rows[rows >= 0]))
