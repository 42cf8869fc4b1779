"""Another machine of a fit: ``python -m headrace.stages.fitting.worker``.

It takes part in one fit of the cluster's chief, and then ends. A supervisor, a work
pool or Kubernetes starts it again for the next fit.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

from headrace.errors import HeadraceError
from headrace.imports.backend import load_backend
from headrace.settings import Settings
from headrace.stages.fitting import Fit, cluster
from headrace.stages.fitting.data import open_data
from headrace.state.home import Home
from headrace.state.packing import unpack_folder

log = logging.getLogger("headrace")


def take_part() -> str:
    """Take part in the chief's fit; return the digest of the weights.

    Raises:
        UsageError: ``TF_CONFIG`` or the installed packages are not the chief's.
        NotFoundError, IntegrityError: this machine does not see the chief's store.
        DependencyError: another machine does not answer.
    """
    load_backend(minimal=True)
    strategy, job = cluster.follow()
    log.info("train: takes part in %s", job.spec.name)
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        home = Home(Settings())
        folder = unpack_folder(job.folder, home.store, Path(name))
        data = open_data(job.snapshot, job.contract, home)
        fit = Fit(job.spec, folder, job.builder, data, strategy=strategy)
        return fit.run(lambda _number, _metrics: None).weights_digest


def main() -> int:
    """Take part in one fit; return the exit code."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        log.info("train: done, weights %s", take_part()[:16])
    except HeadraceError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
