"""The chief of a fit, or its only process; run as a module.

Takes a JSON file with ``spec``, ``snapshot``, ``contract`` and ``checkpoints``, tells
each epoch in a line, and ends with a line of JSON or with the error's exit code.
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from headrace.errors import HeadraceError
from headrace.imports.backend import load_backend
from headrace.pipeline import PipelineSpec
from headrace.records import ContractRecord, SnapshotRecord
from headrace.settings import Settings
from headrace.stages.fitting import Fit, cluster
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import open_data
from headrace.state.packing import pack_folder
from headrace.state.store import Store


def tell(**facts):
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main():
    given = json.loads(Path(sys.argv[1]).read_text())
    spec = PipelineSpec.model_validate(given["spec"])
    snapshot = SnapshotRecord.model_validate(given["snapshot"])
    contract = ContractRecord.model_validate(given["contract"])
    place = (
        Checkpoints(Store(str(given["checkpoints"])), "fit", spec.training)
        if given["checkpoints"]
        else None
    )
    load_backend()
    strategy = None
    if cluster.has_peers():
        folder = pack_folder(Path(sys.argv[1]).parent, Store(Settings().store))
        job = cluster.Job(
            spec=spec,
            builder="mlp",
            folder=folder,
            snapshot=snapshot,
            contract=contract,
        )
        strategy = cluster.lead(job)
    fit = Fit(spec, Path(), "mlp", open_data(snapshot, contract), place, strategy)

    def on_epoch(number, metrics):
        tell(epoch=number, loss=metrics["train_loss"], right=metrics["train_accuracy"])

    fitted = fit.run(on_epoch)
    weights = [np.asarray(w).ravel() for w in fitted.model.weights]
    tell(
        weights=np.concatenate(weights).tolist(),
        digest=fitted.weights_digest,
        execution=dataclasses.asdict(fitted.execution),
        resumed=bool(place and place.resumed),
    )


if __name__ == "__main__":
    try:
        main()
    except HeadraceError as error:
        tell(error=type(error).__name__, says=str(error))
        sys.exit(error.exit_code)
