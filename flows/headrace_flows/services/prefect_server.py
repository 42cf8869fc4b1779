"""Prefect's server on a PostgreSQL that lacks the extension ``pg_trgm``.

The one in a home does. Prefect's migrations make it, and indexes with it, only to find
names by a part of them faster; here they are left out. Run as a module, the arguments
are those of ``prefect``.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

_NOTHING = "SELECT 1"


def leave_out_trigrams(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
) -> tuple[str, Any]:
    """Replace what makes or drops the extension or an index with it."""
    words = statement[:200].split(maxsplit=2)
    is_of_structure = words[:1] in (["CREATE"], ["DROP"])
    if is_of_structure and words[1:2] in (["EXTENSION"], ["INDEX"]):
        if "trgm" in statement:
            return _NOTHING, ()
    return statement, parameters


def main() -> None:
    """Run ``prefect`` with the arguments of this process."""
    from sqlalchemy import Engine, event

    event.listen(Engine, "before_cursor_execute", leave_out_trigrams, retval=True)
    sys.argv[0] = "prefect"
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
