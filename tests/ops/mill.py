"""A project in which much has happened: what its page over everything has to show."""

import math
from datetime import UTC, datetime, timedelta

from tests.src.state.ledger.conftest import ROW, SERVED, a_version, some_evidence

from headrace.monitoring.history import History, StoredWindow
from headrace.records import GateResult
from headrace.settings import Settings
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Approval
from headrace.state.ledger.holding import hold
from headrace.state.ledger.records import utc_now

HOSTILE = "<script>alert('x')</script>"
FILE = 'name = "{name}"\nmedium = "image"\n[data]\nsource = "data.npz"\n'
DEPLOY = '[deploy]\ncron = "0 3 * * *"\n'
DAY = timedelta(days=1)
GATE = {**ROW, "threshold": 0.8}


def run_of(model, version):
    return f"{sum(map(ord, model)):016x}{version:016x}"


def make(project):
    """The settings of a project in a new folder; nothing is trained."""
    settings = Settings(project=project, home=project / ".headrace", user="ada@mill")
    settings.prepare_home()
    for name, table in {"scans": DEPLOY, "letters": "", "digits": DEPLOY}.items():
        folder = project / "pipelines" / name
        folder.mkdir(parents=True)
        (folder / "pipeline.toml").write_text(FILE.format(name=name) + table)
    home = Home(settings)
    home.ledger.facts.record({"train/digits": "headrace_flows.train.train"}, "ada@mill")
    for model, count in {"digits": 11, "scans": 4, "voices": 1}.items():
        _versions(home, model, count)
    for model, status in {"digits": "ok", "scans": "degraded"}.items():
        _watched(home, model, status)
    ask = {"action": "request", "who": "ada@mill", "step": 1}
    expires = (datetime.now(UTC) + 2 * DAY).isoformat(timespec="seconds")
    home.ledger.add_approval(Approval(model="scans", version=4, expires=expires, **ask))
    with hold(settings, "digits", "01997f0e-0000-7000-8000-000000000001"):
        pass
    return settings


def _versions(home, model, count):
    champion = None
    for number in range(1, count + 1):
        run, when = (
            run_of(model, number),
            datetime.now(UTC) - (count - number) * 3 * DAY,
        )
        created = when.isoformat(timespec="milliseconds")
        home.ledger.add_version(
            a_version(
                number, model, run_id=run, created=created, model_digest=model * 4
            )
        )
        score = 0.87 + 0.02 * math.log(number) + 0.006 * math.sin(2.3 * number)
        score = round(score, 4)
        metrics = {"test_accuracy": score, "serving_difference": 0.0}
        kept = GateResult(name="accuracy", passed=True, value=score, threshold=0.8)
        about = {"model": model, "run_id": run, "champion_version": champion}
        about |= {"gates": (kept, SERVED), "law": {"applied": {"gates": [GATE]}}}
        home.ledger.add_evidence(some_evidence(number, metrics=metrics, **about))
        if number in {1, 2, 3, 6, 9}:
            sequence = home.ledger.sequence(model)
            home.ledger.promote(
                model, number, who="ada", why="", expected_sequence=sequence
            )
            champion = number
        home.store.write(card_key(run), f"<h1>{model} {number}</h1>".encode())


def _watched(home, model, status):
    History(model * 4, home.store).keep(
        StoredWindow(
            when=utc_now(),
            window="a" * 64,
            suspicious=True,
            status=status,
            reason=f"the mean accuracy of labels is below 0.85 {HOSTILE}",
        )
    )
