"""The training that another pool does: what is asked for, and what comes back."""

from typing import Any

import pytest

from headrace.errors import ContractError, DependencyError, UsageError
from headrace.pipeline.deploy import FlowSpec
from headrace.pipeline.files import override
from headrace.planning import StageKey
from headrace.records import TrainingRecord
from headrace.state.ledger.holding import heartbeat
from headrace.state.packing import pack_folder
from headrace_flows.run import Run

pytestmark = pytest.mark.integration

Trained = Any


@pytest.fixture
def run(trained, monkeypatch, prefect_server):
    """A run whose training has not been done."""
    monkeypatch.setenv("HEADRACE_HOME", str(trained.settings.home))
    monkeypatch.setenv("HEADRACE_PROJECT", str(trained.settings.project))
    spec = override(trained.spec, ("training.seed=77", "training.epochs=1"))
    return Run(spec, trained.folder, trained.settings)


@pytest.fixture
def _deployed(client):
    from headrace_flows.deploying import apply
    from headrace_flows.deployments import WantedDeployment

    table = FlowSpec(pool="gpu")
    apply(client, [WantedDeployment("fit", "blobs", "", table, ("t",))], ["t"], None)
    yield
    apply(client, [], ["t"], None)


def request_of(run, trained):
    from headrace_flows.fit import TrainingRequest

    key = run.plan.train(trained.snapshot, trained.contract)
    return key, TrainingRequest(
        spec=run.spec,
        folder=pack_folder(run.plan.folder, run.plan.home.store),
        snapshot=trained.snapshot,
        contract=trained.contract,
        ingredients=key.ingredients,
        tags={"headrace.flow_run_id": "parent"},
    )


def ask(run, key, request):
    from headrace_flows.fit import request_key

    run.plan.home.store.write_json(
        request_key(key.fingerprint), request.model_dump(mode="json")
    )


def test_what_a_run_made_that_was_replaced_is_not_kept(run, trained):
    key, record = run.plan.train(trained.snapshot, trained.contract), trained.good
    with heartbeat(run.plan.settings, "another flow run") as holding:
        run.turn.held = holding
        holding._lost.set()
        with pytest.raises(DependencyError, match="took over"):
            run.perform(key, lambda: record)
        assert run.plan.find(key, TrainingRecord) is None


def test_the_record_lies_where_the_stage_looks_for_it(run, trained):
    from headrace.state.tracking import Tracking
    from headrace_flows.fit import fit

    key, request = request_of(run, trained)
    ask(run, key, request)
    state = fit("blobs", key.fingerprint, return_state=True)
    assert state.is_completed(), state.message
    record = run.plan.find(key, TrainingRecord)
    assert record is not None
    assert record.snapshot_digest == trained.snapshot.digest
    tags = Tracking(trained.settings).find_run(record.run_id).tags
    assert tags["headrace.parent_flow_run_id"] == "parent"
    assert tags["headrace.flow_run_id"] not in ("", "parent")


def test_a_worker_with_other_code_trains_nothing_and_says_what_differs(run, trained):
    from headrace_flows.client import error_in
    from headrace_flows.fit import fit

    key, request = request_of(run, trained)
    other = StageKey("train", {**key.ingredients, "version keras": "1.0"})
    ask(run, other, request.model_copy(update={"ingredients": other.ingredients}))
    state = fit("blobs", other.fingerprint, return_state=True)
    assert state.is_failed()
    error = error_in(state)
    assert isinstance(error, UsageError)
    assert "keras 1.0 → " in str(error)
    assert "same Headrace" in str(error)


def test_a_worker_with_another_store_says_so(run, monkeypatch, tmp_path):
    from headrace_flows.fit import fit

    monkeypatch.setenv("HEADRACE_STORE", str(tmp_path / "elsewhere"))
    with pytest.raises(UsageError, match="HEADRACE_STORE"):
        fit("blobs", "0" * 64)


@pytest.mark.parametrize("kind", [ContractError, DependencyError])
def test_an_error_crosses_with_its_type_its_words_and_its_exit_code(kind):
    from prefect import flow

    from headrace_flows.client import error_in

    @flow
    def fails():
        raise kind("disk full: 3 of 4.", "Run it again.")

    back = error_in(fails(return_state=True))
    assert type(back) is kind
    assert str(back) == "disk full: 3 of 4. Run it again."


@pytest.mark.usefixtures("_deployed")
@pytest.mark.parametrize("ending", ["Failed", "Crashed", "Cancelled", "Completed"])
def test_what_is_under_way_is_joined_and_what_has_ended_is_begun_anew(
    run, trained, client, ending
):
    from prefect import states

    from headrace_flows.fit import _ask

    key, request = request_of(run, trained)
    key = StageKey("train", {**key.ingredients, "input test": ending})
    first = _ask(client, run, key, request)
    assert first.state.name == "Scheduled"
    assert _ask(client, run, key, request).id == first.id
    client.set_flow_run_state(first.id, getattr(states, ending)(), force=True)
    second = _ask(client, run, key, request)
    assert second.id != first.id


@pytest.mark.usefixtures("_deployed")
def test_the_same_training_of_another_ledger_is_not_waited_for(
    run, trained, client, tmp_path
):
    from headrace_flows.fit import _ask

    key, request = request_of(run, trained)
    key = StageKey("train", {**key.ingredients, "input test": "two ledgers"})
    url = f"sqlite:///{tmp_path}/other.db"
    elsewhere = trained.settings.model_copy(update={"database_url": url})
    other = Run(run.spec, trained.folder, elsewhere)
    first = _ask(client, run, key, request)
    assert _ask(client, other, key, request).id != first.id
