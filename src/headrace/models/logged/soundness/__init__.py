"""Whether a registered version is still what was proved, and its copy in the store.

A version is sound if its model file and its golden file have the digests of the ledger
and a clean process that loads the one answers as the other says. Files are looked for
where Headrace has MLflow keep them, which needs no MLflow; MLflow is asked only where
they are not there.
"""

from headrace.models.logged.soundness.binding import bind
from headrace.models.logged.soundness.checks import (
    Flaw,
    find_flaw,
    find_flaws,
    find_wrong_answers,
    logged_model,
    mark_verified,
    require_sound,
)
from headrace.models.logged.soundness.copies import (
    describe_files,
    keep_copy,
    keep_copy_of,
    restore,
    write_files,
)

__all__ = [
    "Flaw",
    "bind",
    "describe_files",
    "find_flaw",
    "find_flaws",
    "find_wrong_answers",
    "keep_copy",
    "keep_copy_of",
    "logged_model",
    "mark_verified",
    "require_sound",
    "restore",
    "write_files",
]
