"""Where the trials of a search run, and which processes may run them."""

import pytest

from headrace.errors import UsageError
from headrace.planning import Plan
from headrace.state.packing import pack_folder
from headrace.use.tuning.space import parse_search
from headrace.use.tuning.study import Metric
from headrace.use.tuning.trial import TrialTask, run_trial
from headrace_flows.run import Run
from headrace_flows.tuning import Tuning

RATE = "training.learning_rate=log(0.01,0.2)"


def test_a_process_with_other_code_runs_no_trial(trained):
    plan = Plan(trained.spec, trained.folder, trained.home)
    data = {"snapshot": trained.snapshot, "contract": trained.contract}
    task = TrialTask(
        study="a" * 64,
        number=1,
        spec=plan.spec,
        folder=pack_folder(plan.folder, plan.home.store),
        key="of other code",
        metric=Metric("val_loss", True),
        bounds={},
        parent=("r1", "1"),
        **data,
    )
    with pytest.raises(UsageError, match="the search aaaaaaaa: its code or its lib"):
        run_trial(task, trained.settings)


@pytest.fixture
def tuning(trained):
    """A search of two trials that asks for a thousand at once."""
    run = Run(trained.spec, trained.folder, trained.settings)
    return Tuning(run, parse_search([RATE])[1], "val_loss", 2, 1000, 100_000)


def test_there_are_no_more_processes_than_trials_and_processors(
    tuning, monkeypatch, caplog
):
    caplog.set_level("INFO", "headrace")
    for count, message in ((1, "1 trial"), (2, "2 trials"), (64, "2 trials")):
        monkeypatch.setattr("headrace.stages.pieces.processors", lambda n=count: n)
        with tuning.opened():
            assert tuning.place is not None
        here = "at once in processes of this machine, the most that can be"
        assert caplog.messages[-1] == f"tune: {message} {here}"


def test_a_search_that_fails_leaves_no_place_for_the_next(tuning):
    for _ in range(2):
        with pytest.raises(KeyError):
            with tuning.opened():
                raise KeyError
        assert tuning.place is None
