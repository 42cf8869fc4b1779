"""One version per different training, with the evidence for it."""

from typing import Any

import pytest

from headrace.records import GateResult, RegistrationRecord
from headrace.stages.registration import model_card, register
from headrace.state.ledger import Ledger
from headrace.state.tracking import Tracking

Trained = Any


@pytest.fixture
def ledger(trained):
    return Ledger(trained.settings.database_url)


@pytest.fixture
def register_good(trained):
    """Register the good training, by default with its own evaluation."""

    def call(evaluation=None):
        return register(
            trained.spec,
            trained.folder,
            trained.snapshot,
            trained.good,
            evaluation or trained.good_evaluation,
            trained.home,
        )

    return call


def with_gate(evaluation, **changes):
    """The evaluation with one gate changed, found by its name."""
    gates = tuple(
        gate.model_copy(update=changes) if gate.name == changes["name"] else gate
        for gate in evaluation.gates
    )
    return evaluation.model_copy(update={"gates": gates})


def versions_in_mlflow(trained):
    client = Tracking(trained.settings).client
    found = client.search_model_versions("name='blobs'")
    return sorted(int(version.version) for version in found)


def test_a_training_becomes_a_version_with_its_evidence(trained, register_good, ledger):
    assert register_good() == RegistrationRecord(
        model="blobs", version=2, evidence_id=2
    )
    version = ledger.version("blobs", 2)
    assert version.training == trained.good.identity
    assert version.model_digest == trained.good.model_digest
    assert version.created_by == "ada@lab"
    run = Tracking(trained.settings).client.get_run(trained.good.run_id)
    assert run.info.run_name == "blobs v2"
    assert run.data.tags["version"] == "2"
    evidence = ledger.latest_evidence("blobs", 2)
    assert evidence is not None
    assert evidence.passed
    assert evidence.champion_version == 1
    assert evidence.metrics["test_accuracy"] == 1
    made = Tracking(trained.settings).client.get_model_version("blobs", "2")
    assert made.run_id == trained.good.run_id
    assert made.tags["headrace.weights_digest"] == trained.good.weights_digest
    assert made.tags["headrace.snapshot"] == trained.snapshot.digest
    assert (made.tags["test_accuracy"], made.tags["verdict"]) == ("1.0000", "passed")


def test_registering_again_changes_nothing(trained, register_good, ledger):
    first, evidence = register_good(), ledger.latest_evidence("blobs", 2)
    assert register_good() == first
    assert versions_in_mlflow(trained) == [1, 2]
    assert [v.version for v in ledger.versions("blobs")] == [1, 2]
    assert ledger.latest_evidence("blobs", 2) == evidence


def test_a_version_that_only_mlflow_has_is_taken_over(trained, register_good, ledger):
    """As after a crash between the registry and the ledger."""
    Tracking(trained.settings).create_version(
        "blobs", trained.good.model_uri, trained.good.run_id, {}, ""
    )
    assert register_good().version == 2
    assert versions_in_mlflow(trained) == [1, 2]


def test_failed_gates_are_kept_as_evidence(trained, register_good, ledger):
    failed = with_gate(
        trained.good_evaluation, name="accuracy", passed=False, reason="too low"
    )
    assert register_good(failed).version == 2
    evidence = ledger.latest_evidence("blobs", 2)
    assert evidence is not None
    assert not evidence.passed
    assert [g.reason for g in evidence.gates if not g.passed] == ["too low"]


def test_without_gates_there_is_no_passing_evidence(trained, ledger):
    register(
        trained.spec.model_copy(update={"gates": ()}),
        trained.folder,
        trained.snapshot,
        trained.good,
        trained.good_evaluation,
        trained.home,
    )
    evidence = ledger.latest_evidence("blobs", 2)
    assert evidence is not None
    assert not evidence.passed


@pytest.mark.parametrize("gates", ["failed", "none"])
def test_a_training_that_does_not_serve_is_not_registered(
    trained, register_good, ledger, gates
):
    seen = trained.good_evaluation
    if gates == "failed":
        seen = with_gate(seen, name="serving", passed=False, reason="it crashed")
    else:
        kept = tuple(gate for gate in seen.gates if gate.name != "serving")
        seen = seen.model_copy(update={"gates": kept})
    record = register_good(seen)
    assert record.version is None
    assert record.reason == {"failed": "it crashed"}.get(
        gates, "the serving gate was not run"
    )
    assert versions_in_mlflow(trained) == [1]
    assert [v.version for v in ledger.versions("blobs")] == [1]


def test_the_card_tells_figures_data_and_gates(trained):
    seen = with_gate(
        trained.good_evaluation, name="accuracy", passed=False, reason="too low"
    )
    card = model_card(
        trained.spec, trained.folder, trained.snapshot, trained.good, seen
    )
    assert card.startswith("Three classes of 8 x 8 images")
    assert "- Test accuracy 1.0000 (0.9398 to 1.0000), log loss " in card
    assert "; intervals have 95% confidence\n" in card
    assert trained.snapshot.digest in card
    assert trained.good.weights_digest in card
    assert "| accuracy | **failed** | 1.0000 | 0.9 | too low |" in card
    assert "| serving | passed |" in card
    made = Tracking(trained.settings).client.get_model_version("blobs", "1")
    assert made.description.startswith("Three classes of 8 x 8 images")


def test_the_pipelines_readme_opens_the_card(trained, tmp_path):
    (tmp_path / "README.md").write_text(
        "Three bands.\n\n## Model\n\nTen epochs.\n\n## Limits\n\nMany.\n"
    )
    card = model_card(
        trained.spec, tmp_path, trained.snapshot, trained.good, trained.good_evaluation
    )
    assert card.startswith("Three bands.\n\n## This version")
    assert "Ten epochs" not in card
    assert "- Trained for 3 epochs; it has the weights of epoch 3\n" in card
    assert card.endswith("## Limits\n\nMany.\n")


def test_the_card_says_that_a_training_stopped_early(trained, tmp_path):
    (tmp_path / "pipeline.toml").write_text(
        'medium = "image"\n[data]\nsource = "x.npz"\n'
    )
    metrics = {**trained.good.metrics, "stopped_epoch": 2}
    stopped = trained.good.model_copy(update={"metrics": metrics})
    card = model_card(
        trained.spec, tmp_path, trained.snapshot, stopped, trained.good_evaluation
    )
    assert "- Trained for 2 of 3 epochs, as it stopped early; it has the" in card


def test_the_card_names_what_the_run_overrode(trained, tmp_path):
    training = trained.spec.training.model_copy(update={"epochs": 30})
    spec = trained.spec.model_copy(update={"training": training})
    file = 'medium = "image"\n[data]\nsource = "x.npz"\n[training]\nepochs = 10\n'
    (tmp_path / "pipeline.toml").write_text(file)
    card = model_card(
        spec, tmp_path, trained.snapshot, trained.good, trained.good_evaluation
    )
    assert "- Trained for 30 epochs" in card
    assert "- Not as in the pipeline's file: training.epochs 10 → 30" in card


def test_a_training_is_known_by_weights_data_and_layers(trained):
    good = trained.good
    assert good.model_copy(update={"run_id": "another"}).identity == good.identity
    assert trained.weak.identity != good.identity
    assert good.model_copy(update={"network_digest": "ab"}).identity != good.identity
    assert isinstance(trained.good_evaluation.gates[0], GateResult)


def test_the_same_weights_under_other_layers_are_another_version(
    trained, register_good, ledger
):
    assert register_good().version == 2
    other = trained.good.model_copy(update={"network_digest": "ab" * 32})
    place = (trained.spec, trained.folder, trained.snapshot, other)
    seen = trained.good_evaluation.model_copy(update={"model_digest": "cd" * 32})
    registered = register(*place, seen, trained.home)
    assert registered.version == 3
    (evidence,) = ledger.evidence_of("blobs", 3)
    assert evidence.model_digest == "cd" * 32
    (own,) = ledger.evidence_of("blobs", 2)
    assert own.model_digest == trained.good.model_digest
