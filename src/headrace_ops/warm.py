"""Fills the user's cache, so that the first run of a new installation does not have to.

``make setup`` runs this module; without it, the first run does the same work.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from headrace.stages.ingredients import closure
from headrace.state.tracking.connection import create_database
from headrace_ops import prefect_server


def main() -> None:
    """Create the databases of Prefect and MLflow, and parse Headrace's code."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        with closure.remembered(Path(folder)):
            closure.code_state(closure.own_modules())
        create_database(Path(folder, "mlflow.db"))
        prefect_server.create_database(Path(folder, "prefect.db"))


if __name__ == "__main__":
    main()
