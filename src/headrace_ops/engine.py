"""The process of a flow run that a worker starts: Prefect's engine, without results.

A state in Prefect's server may say where a result lies and how it is unpickled, and
the engine would do so for a run that its server calls completed. Who may set a state
there would execute code here. Flows of ours keep no results, so none is read.
"""

from __future__ import annotations

import runpy
from typing import Any

from headrace.errors import IntegrityError


def read_no_results() -> None:
    """Have Prefect's client refuse the results that a state tells of."""
    from prefect.results import ResultStore

    async def refuse(_store: type[ResultStore], _metadata: Any) -> Any:
        raise IntegrityError(
            "Prefect's server tells of a kept result, and flows of Headrace keep none: "
            "it was not read.",
            "Find out who has set the state of this run, and start another.",
        )

    setattr(ResultStore, "_from_metadata", classmethod(refuse))  # noqa: B010


def main() -> None:
    """Run the flow run of the environment."""
    read_no_results()
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
