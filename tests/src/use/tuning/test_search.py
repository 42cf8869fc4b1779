"""The trials of a search: each one's run, what ends one, and where a search goes on."""

import gc
import json
import math
from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import IntegrityError, Refusal, SpecError
from headrace.pipeline.files import override
from headrace.planning import Plan
from headrace.stages import fitting
from headrace.stages.fitting.shards import Examples
from headrace.state.tracking import Tracking
from headrace.tasks import task
from headrace.use import tuning
from headrace.use.tuning import trial as module
from headrace.use.tuning.space import parse_search
from headrace.use.tuning.study import Study, metric_of

pytestmark = pytest.mark.system

Trained = Any

RATE = "training.learning_rate=log(1e-4,1)"
OPTIMIZER = "training.optimizer=choice(sgd,adam)"
LOSS, ACCURACY = (
    metric_of(name, task("classification")) for name in ("val_loss", "val_accuracy")
)


@pytest.fixture
def search(trained):
    """Search in a home that has the data; gives the study."""

    def run(*texts, trials=3, epochs=2, **changes):
        plain, space = parse_search(texts or (RATE,))
        spec = override(trained.spec, (f"training.epochs={epochs}", *plain))
        given = {"metric": LOSS, "seed": 1, "own": None}
        settings = trained.settings
        study = Study([], space, settings=settings, **{**given, **changes})
        plan = Plan(spec, trained.folder, trained.home)
        data, tags = (
            (trained.snapshot, trained.contract),
            {"headrace.flow_run_id": "f3"},
        )
        tuning.search(plan, study, trials, data, tags)
        return study

    return run


def forget(trained):
    """Delete all trials of a home."""
    (trained.settings.home / "tuning.db").unlink()


def runs_below(trained, run_id):
    """The runs below a run, the first one first."""
    client = Tracking(trained.settings).client
    found = client.search_runs(
        [e.experiment_id for e in client.search_experiments()],
        f"tags.`mlflow.parentRunId` = '{run_id}'",
    )
    return sorted(found, key=lambda run: int(run.data.tags["mlflow.headrace.trial"]))


def test_each_trial_is_a_run_below_that_of_the_study(trained, search, caplog):
    caplog.set_level("INFO", "headrace")
    study = search(RATE, OPTIMIZER)
    assert "tune 2/3  done: trial 2  training.learning_rate=" in caplog.text
    client = Tracking(trained.settings).client
    parent = client.get_run(study.facts()["run_id"])
    assert parent.info.run_name == f"tune-{study.name[:8]}"
    assert parent.info.status == "FINISHED"
    assert parent.data.params["search.training.learning_rate"] == "log(1e-4,1)"
    assert parent.data.params["training.epochs"] == "2"
    assert "training.learning_rate" not in parent.data.params
    children = runs_below(trained, study.facts()["run_id"])
    rows = study.table()
    assert [run.info.run_id for run in children] == [row["run_id"] for row in rows]
    for row, child in zip(rows, children, strict=True):
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.headrace.trial.state"] == "completed"
        assert row["state"] == "completed"
        rate = row["overrides"]["training.learning_rate"]
        assert child.data.params["training.learning_rate"] == str(rate)
        history = client.get_metric_history(child.info.run_id, "val_loss")
        curve = [point.value for point in sorted(history, key=lambda p: p.step)]
        assert curve == curves_of(study)[row["number"] - 1]
        assert len(curve) == 2
        assert child.data.metrics["value"] == row["value"] == min(curve)
        assert row["seconds"] > 0


def test_the_run_of_the_study_has_the_best_and_the_trials(trained, search):
    study = search(RATE, OPTIMIZER)
    tracking = Tracking(trained.settings)
    parent = tracking.client.get_run(study.facts()["run_id"])
    best, tags = study.best(), parent.data.tags
    rate = best["overrides"]["training.learning_rate"]
    assert tags["best.training.learning_rate"] == str(rate)
    assert tags["best.run_id"] == best["run_id"]
    assert parent.data.metrics["best_value"] == best["value"]
    rows = json.loads(tracking.run_file(study.facts()["run_id"], "trials.json"))
    assert rows == study.table()


def points_of(study):
    """What the trials have tried."""
    return [study.point(row["number"]) for row in study.table()]


def curves_of(study):
    """The metric of each trial by epoch."""
    ended = (trial for trial in study._trials if trial.values)
    return [trial.user_attrs["outcome"]["curve"] for trial in ended]


@pytest.fixture
def around_fit(monkeypatch):
    """Put a function around each fit; gives the checkpoints of each, as it begins.

    The function gets which fit it is (from 1), what runs it, and its on_epoch.
    """

    def put(around):
        fits = []

        class Fit(fitting.Fit):
            def __init__(self, *arguments):
                fits.append(arguments[-1])
                super().__init__(*arguments)

            def run(self, on_epoch):
                return around(len(fits), super().run, on_epoch)

        monkeypatch.setattr(module, "Fit", Fit)
        return fits

    return put


def test_the_same_search_again_trains_nothing(search, monkeypatch):
    study = search()
    monkeypatch.setattr(module, "Fit", None)
    assert search().table() == study.table()
    assert search(trials=2).table() == study.table()


def test_a_search_that_was_cut_off_goes_on_in_its_run(trained, search, around_fit):
    whole = search(trials=4)
    forget(trained)

    def stop_the_third(fit, run, on_epoch):
        if fit == 3:
            raise KeyboardInterrupt
        return run(on_epoch)

    fits = around_fit(stop_the_third)
    with pytest.raises(KeyboardInterrupt):
        search(trials=4)
    again = search(trials=4)
    assert len(fits) == 5
    assert points_of(again) == points_of(whole)
    assert curves_of(again) == curves_of(whole)
    client = Tracking(trained.settings).client
    assert client.get_run(again.facts()["run_id"]).info.status == "FINISHED"
    children = runs_below(trained, again.facts()["run_id"])
    assert [run.data.tags["mlflow.headrace.trial"] for run in children] == [*"12334"]
    assert sorted(run.info.status for run in children) == ["FINISHED"] * 4 + ["KILLED"]


def test_a_trial_that_was_cut_off_goes_on_at_its_last_checkpoint(
    trained, search, around_fit
):
    texts = (RATE, "training.checkpoint_steps=5")
    given = {"trials": 2, "epochs": 3}
    whole = search(*texts, **given)
    forget(trained)

    def stop_the_second(fit, run, on_epoch):
        def stop(number, metrics):
            on_epoch(number, metrics)
            if fit == 2 and number == 2:
                raise KeyboardInterrupt

        return run(stop)

    fits = around_fit(stop_the_second)
    with pytest.raises(KeyboardInterrupt):
        search(*texts, **given)
    again = search(*texts, **given)
    resumed = [fit.resumed for fit in fits]
    assert [place and place.epoch for place in resumed] == [None, None, 1]
    assert curves_of(again) == curves_of(whole)
    assert not [*trained.settings.home.glob("store/checkpoints/**/*.ckpt")]


def test_more_trials_go_on_where_fewer_stopped(search):
    three = search()
    before = three.table()
    five = search(trials=5)
    assert five.table()[:3] == before
    assert len(five.table()) == 5
    assert five.facts()["run_id"] == three.facts()["run_id"]


@pytest.mark.parametrize(
    "error",
    [Refusal("Training diverged."), SpecError("The builder failed."), MemoryError()],
)
def test_a_trial_that_fails_counts_and_the_search_goes_on(
    trained, search, around_fit, error
):
    def fail_the_first(fit, run, on_epoch):
        if fit == 1:
            raise error
        return run(on_epoch)

    around_fit(fail_the_first)
    study = search()
    rows = study.table()
    assert [row["state"] for row in rows] == ["failed", *["completed"] * 2]
    assert rows[0]["reason"] == (str(error) or "out of memory")
    assert rows[0]["value"] is None
    statuses = [run.info.status for run in runs_below(trained, study.facts()["run_id"])]
    assert statuses == ["FAILED", "FINISHED", "FINISHED"]


def test_a_trial_leaves_no_graph_behind(search):
    def graphs():
        gc.collect()
        gc.collect()  # what finalizers have let go
        return sum(type(o).__name__ == "FuncGraph" for o in gc.get_objects())

    search(trials=2)
    before = graphs()
    search(trials=5)
    assert graphs() <= before


def test_damaged_data_ends_the_search(search, around_fit):
    def fail(*_):
        raise IntegrityError("The shard is damaged.")

    around_fit(fail)
    with pytest.raises(IntegrityError):
        search()


def test_a_search_in_which_every_trial_fails_is_refused(search, around_fit):
    def fail(*_):
        raise Refusal("Training diverged: the loss is nan.")

    around_fit(fail)
    with pytest.raises(Refusal, match=r"None of 3 trials was completed.*loss is nan"):
        search()


def test_a_metric_that_is_not_a_number_fails_its_trial(search, around_fit):
    def break_the_first(fit, run, on_epoch):
        broken = {"val_loss": math.nan} if fit == 1 else {}
        return run(lambda number, m: on_epoch(number, {**m, **broken}))

    around_fit(break_the_first)
    study = search(trials=2)
    rows = study.table()
    assert [(row["state"], row["epochs"]) for row in rows[:1]] == [("failed", 0)]
    assert rows[1]["state"] == "completed"


def test_a_trial_that_others_outdo_is_pruned(trained, search, around_fit):
    def spoil_the_last(fit, run, on_epoch):
        worse = {"val_loss": 1e3} if fit == 7 else {}
        return run(lambda number, m: on_epoch(number, {**m, **worse}))

    around_fit(spoil_the_last)
    study = search(trials=7, epochs=3, wave=1)
    last = study.table()[-1]
    assert (last["state"], last["epochs"], last["value"]) == ("pruned", 2, 1e3)
    child = runs_below(trained, study.facts()["run_id"])[-1]
    assert child.info.status == "FINISHED"
    assert child.data.tags["mlflow.headrace.trial.state"] == "pruned"


def test_the_accuracy_of_a_trial_is_that_of_the_weights_that_are_kept(
    search, around_fit
):
    told = iter([(0.7, 0.1), (0.8, 0.2)])

    def two_epochs(_, run, on_epoch):
        def tell(number, metrics):
            accuracy, loss = next(told)
            on_epoch(number, {**metrics, "val_accuracy": accuracy, "val_loss": loss})

        return run(tell)

    around_fit(two_epochs)
    study = search(trials=1, metric=ACCURACY)
    assert curves_of(study) == [[0.7, 0.8]]
    assert study.table()[0]["value"] == 0.7


def test_data_without_validation_rows_is_refused(search, monkeypatch, trained):
    data = module.open_data(trained.snapshot, trained.contract)
    empty = replace(data, val=Examples(data.val.items[:0], data.val.targets[:0]))
    monkeypatch.setattr(module, "open_data", lambda *_: empty)
    with pytest.raises(Refusal, match="no validation rows"):
        search()
