"""The identity of a source, which changes when its data may have changed."""

from __future__ import annotations

import hashlib

from headrace.data.sources.places import uris as places
from headrace.data.sources.places.trees import folder_of
from headrace.settings import Settings


def source_identity(
    uri: str, settings: Settings | None = None, medium: str = ""
) -> str:
    """A digest that changes when the data may have changed; content is not read.

    That of a table of files contains that of their folder.

    Args:
        uri: of a source.
        settings: of local copies and storage options; None: those of the environment.
        medium: of the items, which says what a table may hold.

    Raises:
        NotFoundError: there is no such source.
        DependencyError: it cannot be reached, or is not installed.
    """
    settings = settings or Settings()
    own = _identity(uri, settings)
    folder = folder_of(uri, medium)
    if not folder:
        return own
    both = f"{own}\n{_identity(folder, settings)}"
    return hashlib.sha256(both.encode()).hexdigest()


def _identity(uri: str, settings: Settings) -> str:
    if places.is_library(uri):
        from headrace.data.sources.catalog import named as catalog

        return catalog.identity(uri)
    return places.identity(uri, settings)
