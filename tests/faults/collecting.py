"""``headrace gc`` after many runs of several pipelines, killed at many moments.

``python -m tests.faults.collecting --runs 50 --pipelines 3 --kills 20`` prints one JSON
object. Each fifth run of a pipeline is promoted; each tenth has data of its own.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.blobs import BLOBS, write_blobs

from headrace.models.logged.loading import load_version
from headrace.planning import Plan
from headrace.settings import Settings
from headrace.spec import load_spec
from headrace.state.home import Home
from headrace.state.ledger import Ledger
from headrace.state.store import Store
from headrace.state.tracking import Tracking

KILLED = Path(__file__).parents[1] / "flows" / "killed.py"
GC = ("gc", "--keep", "1", "--older", "0", "--json")
GATES = "gates = [{ name = 'finite' }]\n"


def run(settings, folder, number):
    """One run by its stages, without Prefect."""
    from headrace.stages.evaluation import evaluate
    from headrace.stages.ingestion import ingest
    from headrace.stages.promotion import conclude
    from headrace.stages.registration import register
    from headrace.stages.training import train
    from headrace.stages.validation import validate

    data = folder / f"data-{number // 10}.npz"
    if not data.exists():
        write_blobs(data, seed=number)
    changes = (f"training.seed={number}", f"data.source='{data}'")
    spec = load_spec(folder, changes)
    plan, store = Plan(spec, folder, Home(settings)), Store(settings.store)
    snapshot = ingest(spec.data, spec.medium, store, settings)
    plan.save(plan.ingest(), snapshot, 0.0)
    contract = validate(spec, snapshot, store, settings)
    plan.save(plan.validate(snapshot), contract, 0.0)
    training = train(spec, folder, "mlp", snapshot, contract, settings, {})
    plan.save(plan.train(snapshot, contract), training, 0.0)
    champion = plan.comparator(training)
    seen = evaluate(spec, snapshot, contract, training, champion, Home(settings))
    plan.save(plan.evaluate(contract, training, champion), seen, 0.0)
    registered = register(spec, folder, snapshot, training, seen, Home(settings))
    conclude(spec, seen, registered, Home(settings), register_only=bool(number % 5))


def command(settings, *words, killed_at=0):
    """The exit code and the answer of a command, or of one that kills itself."""
    program = ["-m", "headrace_cli"]
    if killed_at:
        program = [str(KILLED), "headrace.retention.collection:delete_one"]
        program.append(f"after:{killed_at}")
    done = subprocess.run(
        [sys.executable, *program, *words],
        env={
            **os.environ,
            "HEADRACE_HOME": str(settings.home),
            "HEADRACE_PROJECT": str(settings.project),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def problems(settings):
    """What of the versions in the history no longer verifies or loads."""
    code, answer = command(settings, "verify", "--json")
    found = [] if code == 0 and not answer["missing"] else [json.dumps(answer)]
    ledger, tracking = Ledger(settings.database_url), Tracking(settings)
    for model in ledger.models():
        for number in {entry.to_version for entry in ledger.history(model)}:
            try:
                load_version(tracking, ledger.version(model, number))
            except Exception as error:  # counted, whatever it is
                found.append(f"{model}/{number}: {error}")
    return found


def main():
    parser = argparse.ArgumentParser()
    for name, default in (("runs", 50), ("pipelines", 3), ("kills", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        settings = Settings(project=Path(place), home=Path(place) / "home")
        settings.prepare_home()
        law = BLOBS[: BLOBS.index("gates =")].replace("epochs = 3", "epochs = 1")
        for letter in "abcdefgh"[: asked.pipelines]:
            folder = Path(place) / "pipelines" / f"blobs_{letter}"
            folder.mkdir(parents=True)
            (folder / "pipeline.toml").write_text(law + GATES)
            for number in range(asked.runs):
                run(settings, folder, number)
        planned = command(settings, *GC, "--dry-run")[1]
        items = sum(one["count"] for one in planned["collected"])
        wrong, kills = [], 0
        for _ in range(asked.kills):  # each deletes an equal part of what there is
            part = max(1, items // (asked.kills + 1))
            kills += command(settings, *GC, killed_at=part)[0] == -signal.SIGKILL
            wrong += problems(settings)
        ended, last = command(settings, *GC)
        wrong += problems(settings)
        left = command(settings, *GC, "--dry-run")[1]
        ledger = Ledger(settings.database_url)
        models = ledger.models()
        history = {
            f"{model}/{entry.to_version}"
            for model in models
            for entry in ledger.history(model)
        }
        again = [command(settings, "reproduce", name, "--json") for name in history]
        answer = {
            "runs": asked.runs * asked.pipelines,
            "to_collect": items,
            "bytes": planned["bytes"],
            "kills": kills,
            "ended": ended,
            "in_last": sum(one["count"] for one in last["collected"]),
            "left": sum(one["count"] for one in left["collected"]),
            "versions": sum(len(ledger.versions(model)) for model in models),
            "in_history": len(history),
            "reproduced": sum(
                a is not None and a["status"] == "same" for _, a in again
            ),
            "problems": wrong,
        }
        sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
