"""Pretrained backbones in the store, each a folder named by its digest.

A backbone is brought by ``headrace backbone add``, or by a run that names a folder of
the project. Nothing is downloaded here.
"""

from __future__ import annotations

from pathlib import Path

from headrace.state.home import Home


def local_folder(digest: str, home: Home) -> Path:
    """The files of a backbone on this machine, their digests checked.

    Raises:
        NotFoundError: the store has no such backbone.
        IntegrityError: a file was changed or damaged.
    """
    raise NotImplementedError
