"""Whether a source may have changed, told without reading it or knowing its format."""

from __future__ import annotations

from headrace.data.sources.places import uris as places
from headrace.settings import Settings


def source_identity(uri: str, settings: Settings | None = None) -> str:
    """A digest that changes whenever the data may have changed; reads no content.

    Args:
        uri: of a source.
        settings: where local copies may be, and storage options; None: as the
            environment says.

    Raises:
        NotFoundError: there is nothing.
        DependencyError: it cannot be reached, or is not installed.
    """
    settings = settings or Settings()
    if places.is_library(uri):
        from headrace.data.sources.catalog import named as catalog
        from headrace.data.sources.catalog import sample

        if uri == sample.URI:
            return places.identity(sample.sample_file().where, settings)
        return catalog.identity(uri, settings)
    return places.identity(uri, settings)
