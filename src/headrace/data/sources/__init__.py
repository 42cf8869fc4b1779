"""Sources of data: places, readers of file formats, and a catalog.

A reader yields chunks of rows as the source has them; a medium decodes them.
"""
