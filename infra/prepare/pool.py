"""Make a work pool from a template, or update its template. Safe to run again.

The type of the pool is the last word of the file's name: ``docker.json``,
``gpu-docker.json``.
"""

import json
import sys
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectAlreadyExists


def main(name: str, file: Path) -> None:
    """Make the pool, or give the one that is there this template."""
    kind = file.stem.rpartition("-")[2]
    template = json.loads(file.read_text(encoding="utf-8"))
    with get_client(sync_client=True) as client:
        pool = WorkPoolCreate(name=name, type=kind, base_job_template=template)
        try:
            client.create_work_pool(pool)
        except ObjectAlreadyExists:
            found = client.read_work_pool(name).type
            if found != kind:
                sys.exit(
                    f"The work pool {name!r} has the type {found!r} instead of "
                    f"{kind!r}. Delete it (prefect work-pool delete {name}), start "
                    "this again, and then deploy again."
                )
            client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
