"""The store: whether it is there, and can be written."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from headrace.errors import HeadraceError
from headrace.settings import Settings
from headrace_ops.doctor.check import Check


def check_store(settings: Settings) -> list[Check]:
    """The store; where it is there, by writing to it and taking that away again."""
    if "://" not in settings.store:
        return [_check_folder(Path(settings.store).absolute())]
    return [_check_remote(settings.store)]


def _check_folder(folder: Path) -> Check:
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        return Check(
            name="store",
            state="wrong",
            seen=f"{folder} cannot be written",
            fix="Set HEADRACE_STORE to a place that can be.",
        )
    return Check(name="store", state="ok", seen=str(folder))


def _check_remote(uri: str) -> Check:
    from headrace.state.store import Store

    key = f"doctor/{uuid.uuid4().hex}"
    try:
        store = Store(uri)
        store.write(key, b"written by headrace doctor")
        store.fs.rm_file(store.path(key))
    except (ImportError, ValueError) as error:
        return Check(
            name="store",
            state="wrong",
            seen=f"{uri}: {error}",
            fix="pip install 'headrace[s3]'" if uri.startswith("s3") else "Correct it.",
        )
    except (OSError, HeadraceError) as error:
        refused = isinstance(error, PermissionError)
        return Check(
            name="store",
            state="wrong" if refused else "unreachable",
            seen=f"{uri} cannot be written: {error}",
            fix="Check its address and keys (for S3: AWS_ENDPOINT_URL, "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).",
        )
    return Check(name="store", state="ok", seen=uri)
