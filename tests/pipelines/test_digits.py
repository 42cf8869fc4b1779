"""The shipped pipelines: what their files promise, on the data that they name."""

from pathlib import Path

import pytest

from headrace.data.snapshots.splits import read_split
from headrace.imports.extensions import task_default
from headrace.models import builder_name, check_arguments, find_builder
from headrace.models.logged.loading import load_champion
from headrace.pipeline import load_spec
from headrace.records import DataDescription
from headrace.stages.evaluation import evaluate
from headrace.stages.ingestion import ingest
from headrace.stages.promotion import conclude
from headrace.stages.registration import register
from headrace.stages.training import train
from headrace.stages.validation import validate
from headrace.state.home import Home
from headrace.state.store import Store

pytestmark = pytest.mark.system

PLACE = Path(__file__).resolve().parents[2] / "pipelines"
PIPELINES = sorted(folder.parent for folder in PLACE.glob("*/pipeline.toml"))


@pytest.mark.parametrize("folder", PIPELINES, ids=lambda folder: folder.name)
def test_a_shipped_pipeline_opens_with_its_command_and_can_be_built(folder):
    text = (folder / "pipeline.toml").read_text()
    assert text.startswith(f"# headrace run {folder.name}\n")
    spec = load_spec(folder)
    assert spec.name == folder.name
    name = builder_name(spec)
    check_arguments(name, find_builder(name, folder), spec.model.arguments)
    gates = {gate.name for gate in spec.gates}
    assert {"finite", "champion"} <= gates
    assert gates & set(task_default(spec.task, "DEFAULT_GATES"))


def test_the_packaged_digits_become_a_champion(settings):
    """All stages as plain functions of records, on the data that needs no download."""
    folder = PLACE / "digits"
    spec, store = load_spec(folder), Store(settings.store)
    snapshot = ingest(spec.data, spec.medium, store, settings)
    assert sum(snapshot.rows.values()) == 5000
    assert snapshot.description == DataDescription(
        medium="image", shape=(28, 28, 1), classes=tuple("0123456789")
    )
    assert "CC BY-SA" in snapshot.attribution
    contract = validate(spec, snapshot, store, settings)
    assert contract.quarantined == 0
    training = train(spec, folder, "mlp", snapshot, contract, settings, {})
    seen = evaluate(spec, snapshot, contract, training, None, Home(settings))
    assert seen.metrics["test_accuracy"] >= 0.88
    assert [gate.reason for gate in seen.gates if not gate.passed] == []
    registered = register(spec, folder, snapshot, training, seen, Home(settings))
    ended = conclude(spec, seen, registered, Home(settings))
    assert (ended.status, ended.aliases) == ("promoted", ("champion",))
    items, labels, *_ = read_split(snapshot, "test")
    told = load_champion("digits", settings).predict(items[:100])
    right = sum(
        int(label) == truth for label, truth in zip(told, labels[:100], strict=True)
    )
    assert right >= 80
