"""The identity of a source, which changes when its data may have changed."""

from __future__ import annotations

import hashlib

from headrace.data.sources.places import uris as places
from headrace.data.sources.places.trees import folder_of, is_recipe
from headrace.settings import Settings


def source_identity(
    uri: str, settings: Settings | None = None, medium: str = ""
) -> str:
    """A digest that changes when the data may have changed; content is not read.

    That of a recipe contains those of the sources that it names, and that of a table of
    files contains that of their folder.

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
    beside = [folder] if (folder := folder_of(uri, medium)) else []
    named = [*_named_by(uri, settings), *beside]
    others = [_identity(other, settings) for other in named]
    if not others:
        return own
    return hashlib.sha256("\n".join([own, *others]).encode()).hexdigest()


def _named_by(uri: str, settings: Settings) -> list[str]:
    """What a recipe names; the code of recipes is loaded for them alone."""
    if not is_recipe(uri):
        return []
    from headrace.data.sources.recipes import sources_of

    return sources_of(uri, settings)


def _identity(uri: str, settings: Settings) -> str:
    if places.is_library(uri):
        from headrace.data.sources.catalog import named as catalog

        return catalog.identity(uri, settings)
    return places.identity(uri, settings)
