"""Readers, one file format a file. They know formats, not media.

A reader yields chunks of rows as the file holds them; a medium decodes them.
"""

from headrace.sources.chunks import Chunk, Source
from headrace.sources.opening import open_source, source_identity

__all__ = ["Chunk", "Source", "open_source", "source_identity"]
