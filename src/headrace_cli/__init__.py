"""The ``headrace`` command, a file per family of commands."""
