"""A search: what a range is, what is tried next, and what is kept of a trial."""

from __future__ import annotations

import csv
import gc
import io
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace import fitting, tuning
from headrace.errors import (
    DependencyError,
    IntegrityError,
    Refusal,
    SpecError,
    UsageError,
)
from headrace.spec import load_spec, override
from headrace.store import Store
from headrace.tracking import Tracking
from headrace.tuning import Space, Study, Trial, parse_search, ranges
from headrace.tuning import trials as module
from headrace.tuning.ranges import parse_dimension

Trained = Any

RATE = "training.learning_rate=log(1e-4,1)"
OPTIMIZER = "training.optimizer=choice(sgd,adam)"


def space_of(*texts: str) -> Space:
    """The space of some ranges."""
    return parse_search(texts)[1]


def a_study(settings: Any, *texts: str, **changes: Any) -> Study:
    """A study in a home that does not know its data."""
    space = space_of(*(texts or (RATE,)))
    given: dict[str, Any] = {"metric": "val_loss", "seed": 1, "own": None, **changes}
    return Study({}, space, store=Store(settings.store), **given)


def a_trial(
    number: int, point: dict[str, Any], value: float | None, **changes: Any
) -> Trial:
    """A completed trial of two epochs."""
    facts: dict[str, Any] = {
        "number": number,
        "state": "completed",
        "point": point,
        "value": value,
        "curve": () if value is None else (2 * value, value),
        "seconds": 1.0,
        "fit_seconds": 0.9,
        "run_id": "",
        **changes,
    }
    return Trial(**facts)


def points_of(study: Study, count: int) -> list[dict[str, Any]]:
    """The next points, as if each trial had ended with the same outcome."""
    found = []
    for _ in range(count):
        point, _ = study.ask()
        number = len(study.trials) + 1
        study.add(a_trial(number, point, math.sin(37 * number) + 2))
        found.append(point)
    return found


@pytest.mark.parametrize(
    ("text", "kind", "options"),
    [
        ("training.learning_rate=log(1e-4,1)", "log", ("1e-4", "1")),
        ("training.momentum = uniform( 0, 0.99 )", "uniform", ("0", "0.99")),
        ("training.batch_size=int(16,512)", "int", ("16", "512")),
        ("training.optimizer=choice(sgd,adam)", "choice", ("sgd", "adam")),
        (
            "model.arguments.hidden=choice([16],[64, 32])",
            "choice",
            ("[16]", "[64, 32]"),
        ),
        ('model.builder=choice("mlp","a,b")', "choice", ('"mlp"', '"a,b"')),
    ],
)
def test_a_range_is_read(text: str, kind: str, options: tuple[str, ...]) -> None:
    dimension = parse_dimension(text)
    assert dimension is not None
    assert dimension.key == text.partition("=")[0].strip()
    assert (dimension.kind, dimension.options) == (kind, options)
    assert parse_dimension(str(dimension)) == dimension


@pytest.mark.parametrize(
    "text", ["training.epochs=3", "gates=[]", 'description="log(1,2)"', "a=b", "a=b c"]
)
def test_a_plain_value_is_no_range(text: str) -> None:
    assert parse_dimension(text) is None
    assert parse_search([text, RATE])[0] == [text]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("lgo(1e-4,1)", r"no range 'lgo'\. Did you mean log\(1e-4,1\)\?"),
        ("loguniform(1e-4,1)", r"Did you mean uniform\(0,0\.99\)\?"),
        ("xyz(1,2)", r"Ranges: log\(1e-4,1\), uniform.*Put text in quotes"),
        ("log(1e-4)", r"log takes two bounds, not 1\. Write for example log\("),
        ("log(0,1)", "lower bound 0 of log is not above 0"),
        ("log(1,1e-4)", "lower bound 1 is not below the upper bound 1e-4"),
        ("uniform(a,1)", "bound 'a' is not a number"),
        ("uniform(0,inf)", "bound 'inf' is not finite"),
        ("uniform(true,2)", "bound 'true' is not a number"),
        ("int(1,2.5)", r"bound '2\.5' is not an integer"),
        ("choice(1)", "a choice needs two values"),
        ("choice(1,)", "a choice needs two values"),
        ("choice(1,1)", "a value is given twice"),
    ],
)
def test_a_range_that_is_none_is_refused(value: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_dimension(f"training.learning_rate={value}")


def test_no_range_at_all_is_a_usage_error_with_an_example() -> None:
    example = r'--set "training\.learning_rate=log\(1e-4,1\)"'
    with pytest.raises(UsageError, match=example):
        parse_search(["training.epochs=3"])


@pytest.mark.parametrize("other", ["training.learning_rate=0.1", RATE])
def test_a_field_is_given_once(other: str) -> None:
    with pytest.raises(SpecError, match="learning_rate: it is given twice"):
        parse_search([other, RATE])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("training.learning_rate=log(0.01,100)", "learning_rate = 100.*equal to 10"),
        ("training.learning_rat=log(0.01,1)", r"Did you mean training\.learning_rate"),
        ("trainig.learning_rate=log(0.01,1)", "Did you mean training"),
        ("training.batch_size=log(16,512)", "batch_size = .*valid integer"),
        ("training.batch_size=int(0,512)", "batch_size = 0.*equal to 1"),
        ("training.optimizer=choice(sgd,adm)", "'adm': Input should be 'sgd' or"),
        ("model.builder=choice(mlp,cmn)", "Did you mean cnn"),
        ("model.arguments.hiden=choice([1],[2])", "Did you mean hidden"),
        ("data.test_fraction=uniform(0.1,0.3)", "cannot be searched"),
    ],
)
def test_what_the_spec_would_refuse_is_refused_before_any_work(
    project: Path, text: str, message: str
) -> None:
    folder = project / "pipelines" / "blobs"
    with pytest.raises(SpecError, match=message):
        space_of(text).check(load_spec(folder), folder)


def test_a_builder_must_take_the_arguments_of_all_trials(project: Path) -> None:
    folder = project / "pipelines" / "blobs"
    space = space_of("model.builder=choice(mlp,cnn)", RATE)
    with pytest.raises(SpecError, match="cnn takes no such argument"):
        space.check(load_spec(folder), folder)


def test_a_point_is_a_spec_as_run_would_read_it(project: Path) -> None:
    folder = project / "pipelines" / "blobs"
    space = space_of(RATE, OPTIMIZER, "model.arguments.hidden=choice([16],[8,8])")
    point = space.rounded(
        {
            "training.learning_rate": 0.0123456,
            "training.optimizer": "adam",
            "model.arguments.hidden": "[8,8]",
        }
    )
    settings = space.settings(point)
    assert settings == [
        "training.learning_rate=0.0123",
        "training.optimizer=adam",
        "model.arguments.hidden=[8,8]",
    ]
    base = load_spec(folder)
    assert space.apply(base, point) == load_spec(folder, tuple(settings))
    assert space.overrides(point)["model.arguments.hidden"] == [8, 8]


@pytest.mark.parametrize(
    ("text", "value", "rounded"),
    [
        ("a=log(1e-4,1)", 0.0123456, 0.0123),
        ("a=log(0.1,0.101)", 0.1001234567, 0.100123),
        ("a=uniform(0,1)", 0.123456, 0.123),
        ("a=uniform(0,1)", 0.0003, 0.0003),
        ("a=uniform(-500,500)", 123.456, 123.0),
        ("a=uniform(0.12399,1)", 0.12401, 0.124),
        ("a=uniform(0.12401,1)", 0.12402, 0.12401),
        ("a=int(1,9)", 3, 3),
        ("a=choice(x,y)", "x", "x"),
    ],
)
def test_a_value_has_the_digits_that_its_range_needs(
    text: str, value: Any, rounded: Any
) -> None:
    dimension = parse_dimension(text)
    assert dimension is not None
    assert dimension.rounded(value) == rounded


def test_a_range_of_floats_never_ends(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "POINTS", 2)
    study = a_study(settings, "training.momentum=uniform(0.5,0.9)")
    points = points_of(study, 12)
    assert len({point["training.momentum"] for point in points}) == 12


@pytest.mark.parametrize(
    ("texts", "point"),
    [
        ((RATE,), {"training.learning_rate": 0.05}),
        (("training.learning_rate=log(0.1,1)",), None),
        (
            ("training.batch_size=int(1,16)", OPTIMIZER),
            {"training.batch_size": 16, "training.optimizer": "sgd"},
        ),
        (
            ("model.arguments.hidden=choice([8],[16])",),
            {"model.arguments.hidden": "[16]"},
        ),
        (("model.arguments.depth=int(1,3)", RATE), None),
    ],
)
def test_the_file_itself_is_a_point_where_the_space_holds_it(
    project: Path, texts: tuple[str, ...], point: Any
) -> None:
    spec = load_spec(project / "pipelines" / "blobs")
    assert space_of(*texts).own_point(spec) == point


def test_the_own_point_is_tried_first(settings: Any) -> None:
    own: dict[str, Any] = {"training.learning_rate": 0.0123456}
    study = a_study(settings, own=own)
    first, second = points_of(study, 2)
    assert first == own
    assert second != own


def test_the_first_trials_are_spread_over_the_range(settings: Any) -> None:
    for seed in range(5):
        study = a_study(settings, seed=seed)
        rates = [float(p["training.learning_rate"]) for p in points_of(study, 5)]
        exponents = sorted(math.log10(rate) for rate in rates)
        gaps = [b - a for a, b in itertools.pairwise([-4, *exponents, 0])]
        assert max(gaps) < 2
        assert min(gaps[1:-1]) > 0.3


def test_the_same_seed_suggests_the_same_also_after_a_cut(settings: Any) -> None:
    texts = (RATE, OPTIMIZER, "training.batch_size=int(16,512)")
    whole = points_of(a_study(settings, *texts), 14)
    assert len({json.dumps(point) for point in whole}) == 14
    again = a_study(settings, *texts)
    assert [trial.point for trial in again.trials] == whole
    settings.home.joinpath("store", "studies", f"{again.name}.json").unlink()
    cut = points_of(a_study(settings, *texts), 6)
    for _ in range(8):  # another process for each
        cut += points_of(a_study(settings, *texts), 1)
    assert cut == whole
    assert points_of(a_study(settings, *texts, seed=2), 6) != whole[:6]


def test_what_a_trial_depends_on_names_the_study(settings: Any) -> None:
    name = a_study(settings).name
    assert a_study(settings).name == name
    others = {
        a_study(settings, "training.learning_rate=log(1e-4,2)").name,
        a_study(settings, seed=2).name,
        a_study(settings, metric="val_accuracy").name,
        Study({"spec a": "1"}, space_of(RATE), "val_loss", 1, None, Store("/x")).name,
    }
    assert len(others | {name}) == 5


def test_no_point_is_tried_twice_and_a_finite_space_ends(settings: Any) -> None:
    texts = (OPTIMIZER, "training.batch_size=int(1,3)")
    study = a_study(settings, *texts)
    assert study.wanted(20) == 6
    assert study.wanted(4) == 4
    points = points_of(study, 6)
    assert sorted(points, key=str) == sorted(study.space.points(), key=str)


def test_the_best_is_the_lowest_loss_or_the_highest_accuracy(settings: Any) -> None:
    for metric, number in (("val_loss", 2), ("val_accuracy", 3)):
        study = a_study(settings, metric=metric)
        assert study.best is None
        for n, value in enumerate((0.5, 0.1, 0.9, 0.1), start=1):
            study.add(a_trial(n, {"training.learning_rate": 0.1 * n}, value))
        study.add(
            a_trial(5, {"training.learning_rate": 0.7}, value=0.0, state="pruned")
        )
        assert study.best is not None
        assert study.best.number == number


def test_a_worse_trial_is_told_to_stop_and_a_better_one_is_not(settings: Any) -> None:
    study = a_study(settings)
    points_of(study, 8)
    _, trial = study.ask()
    trial.report(50.0, 1)
    assert not trial.should_prune()
    trial.report(50.0, 2)
    assert trial.should_prune()
    _, trial = study.ask()
    trial.report(0.01, 2)
    assert not trial.should_prune()


def test_the_sampler_learns_from_a_failure(settings: Any) -> None:
    low, high = 0, 0
    study = a_study(settings, "training.learning_rate=uniform(0.1,10)")
    for number in range(1, 31):
        point, _ = study.ask()
        rate = point["training.learning_rate"]
        assert isinstance(rate, float)
        if rate > 2:
            high += 1
            study.add(a_trial(number, point, None, state="failed"))
        else:
            low += 1
            study.add(a_trial(number, point, rate))
    assert low > high


def test_a_second_process_is_told_to_wait(settings: Any) -> None:
    import subprocess
    import sys

    study = a_study(settings)
    code = f"""
import fcntl, sys
file = open({str(settings.home / "studies.lock")!r}, "w")
fcntl.lockf(file, fcntl.LOCK_EX, 1, {int(study.name[:12], 16)})
print("locked", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(DependencyError, match="Another process is at the search"):
            with study.alone(settings):
                raise AssertionError
        with a_study(settings, seed=2).alone(settings):
            pass
        other.kill()
    with study.alone(settings):
        pass


@pytest.fixture
def search(trained: Trained) -> Callable[..., Study]:
    """Search in a home that has the data; gives the study."""

    def run(*texts: str, trials: int = 3, epochs: int = 2, **changes: Any) -> Study:
        plain, space = parse_search(texts or (RATE,))
        spec = override(trained.spec, (f"training.epochs={epochs}", *plain))
        given: dict[str, Any] = {"metric": "val_loss", "seed": 1, "own": None}
        study = Study(
            {}, space, store=Store(trained.settings.store), **{**given, **changes}
        )
        tuning.search(
            spec,
            trained.folder,
            study,
            trials,
            trained.snapshot,
            trained.contract,
            trained.settings,
            {"headrace.flow_run_id": "f3"},
        )
        return study

    return run


def runs_below(trained: Trained, run_id: str) -> list[Any]:
    """The runs below a run, the first one first."""
    client = Tracking(trained.settings).client
    found = client.search_runs(
        [e.experiment_id for e in client.search_experiments()],
        f"tags.`mlflow.parentRunId` = '{run_id}'",
    )
    return sorted(found, key=lambda run: int(run.data.tags["headrace.trial"]))


def test_each_trial_is_a_run_below_that_of_the_study(
    trained: Trained, search: Callable[..., Study]
) -> None:
    study = search(RATE, OPTIMIZER)
    client = Tracking(trained.settings).client
    parent = client.get_run(study.run_id)
    assert parent.info.run_name == f"tune-{study.name[:8]}"
    assert parent.info.status == "FINISHED"
    assert parent.data.params["search.training.learning_rate"] == "log(1e-4,1)"
    assert parent.data.params["training.epochs"] == "2"
    assert "training.learning_rate" not in parent.data.params
    children = runs_below(trained, study.run_id)
    assert [run.info.run_id for run in children] == [t.run_id for t in study.trials]
    for trial, child in zip(study.trials, children, strict=True):
        assert child.info.status == "FINISHED"
        assert child.data.tags["headrace.trial.state"] == trial.state == "completed"
        assert child.data.params["training.learning_rate"] == str(
            trial.point["training.learning_rate"]
        )
        history = client.get_metric_history(child.info.run_id, "val_loss")
        assert tuple(point.value for point in history) == trial.curve
        assert [point.step for point in history] == [1, 2]
        assert child.data.metrics["value"] == trial.value == min(trial.curve)
        assert 0 < trial.fit_seconds <= trial.seconds


def test_the_run_of_the_study_has_the_best_a_picture_and_the_trials(
    trained: Trained, search: Callable[..., Study]
) -> None:
    study = search(RATE, OPTIMIZER)
    tracking = Tracking(trained.settings)
    parent = tracking.client.get_run(study.run_id)
    best = study.best
    assert best is not None
    tags = parent.data.tags
    rate = best.point["training.learning_rate"]
    assert tags["headrace.best.training.learning_rate"] == str(rate)
    assert tags["headrace.best.run_id"] == best.run_id
    assert parent.data.metrics["best_value"] == best.value
    picture = tracking.run_file(study.run_id, "pictures/trials.png")
    assert picture.startswith(b"\x89PNG")
    rows = json.loads(tracking.run_file(study.run_id, "trials/trials.json"))
    assert rows == tuning.trial_table(study)
    text = tracking.run_file(study.run_id, "trials/trials.csv").decode()
    table = list(csv.DictReader(io.StringIO(text)))
    assert [row["training.learning_rate"] for row in table] == [
        str(trial.point["training.learning_rate"]) for trial in study.trials
    ]


@pytest.fixture
def around_fit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a function around each fit: it gets run, on_epoch and the checkpoints."""

    def put(around: Callable[..., Any]) -> None:
        class Fit(fitting.Fit):
            def __init__(self, *arguments: Any) -> None:
                self.checkpoints = arguments[-1]
                super().__init__(*arguments)

            def run(self, on_epoch: Any) -> Any:
                return around(super().run, on_epoch, self.checkpoints)

        monkeypatch.setattr(module, "Fit", Fit)

    return put


def test_the_same_search_again_trains_nothing(
    search: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = search()
    monkeypatch.setattr(module, "Fit", None)
    assert search().trials == study.trials
    assert search(trials=2).trials == study.trials


def test_a_search_that_was_cut_off_goes_on_in_its_run(
    trained: Trained, search: Callable[..., Study], around_fit: Callable[..., None]
) -> None:
    whole = search(trials=4)
    store = Store(trained.settings.store)
    store.delete(f"studies/{whole.name}.json")
    fits = []

    def stop_the_third(run: Any, on_epoch: Any, _: Any) -> Any:
        fits.append(on_epoch)
        if len(fits) == 3:
            raise KeyboardInterrupt
        return run(on_epoch)

    around_fit(stop_the_third)
    with pytest.raises(KeyboardInterrupt):
        search(trials=4)
    again = search(trials=4)
    assert len(fits) == 5
    assert [t.point for t in again.trials] == [t.point for t in whole.trials]
    assert [t.curve for t in again.trials] == [t.curve for t in whole.trials]
    client = Tracking(trained.settings).client
    assert client.get_run(again.run_id).info.status == "FINISHED"
    children = runs_below(trained, again.run_id)
    assert [run.data.tags["headrace.trial"] for run in children] == [*"12334"]
    assert sorted(run.info.status for run in children) == ["FINISHED"] * 4 + ["KILLED"]


def test_a_trial_that_was_cut_off_goes_on_at_its_last_checkpoint(
    trained: Trained, search: Callable[..., Study], around_fit: Callable[..., None]
) -> None:
    texts = (RATE, "training.checkpoint_steps=5")
    given = {"trials": 2, "epochs": 3}
    whole = search(*texts, **given)
    Store(trained.settings.store).delete(f"studies/{whole.name}.json")
    resumed: list[int | None] = []

    def stop_the_second(run: Any, on_epoch: Any, checkpoints: Any) -> Any:
        def stop(number: int, metrics: Any) -> None:
            on_epoch(number, metrics)
            if len(resumed) == 1 and number == 2:
                raise KeyboardInterrupt

        try:
            return run(stop)
        finally:
            place = checkpoints.resumed
            resumed.append(place.epoch if place else None)

    around_fit(stop_the_second)
    with pytest.raises(KeyboardInterrupt):
        search(*texts, **given)
    again = search(*texts, **given)
    assert resumed == [None, None, 1]
    assert [t.curve for t in again.trials] == [t.curve for t in whole.trials]
    assert not [*trained.settings.home.glob("store/checkpoints/**/*.ckpt")]


def test_more_trials_go_on_where_fewer_stopped(search: Callable[..., Study]) -> None:
    three = search()
    five = search(trials=5)
    assert five.trials[:3] == three.trials
    assert len(five.trials) == 5
    assert five.run_id == three.run_id


@pytest.mark.parametrize(
    "error",
    [Refusal("Training diverged."), SpecError("The builder failed."), MemoryError()],
)
def test_a_trial_that_fails_counts_and_the_search_goes_on(
    trained: Trained,
    search: Callable[..., Study],
    around_fit: Callable[..., None],
    error: Exception,
) -> None:
    fits = []

    def fail_the_first(run: Any, on_epoch: Any, _: Any) -> Any:
        fits.append(on_epoch)
        if len(fits) == 1:
            raise error
        return run(on_epoch)

    around_fit(fail_the_first)
    study = search()
    assert [trial.state for trial in study.trials] == ["failed", *["completed"] * 2]
    assert study.trials[0].reason == (str(error) or "out of memory")
    assert study.trials[0].value is None
    statuses = [run.info.status for run in runs_below(trained, study.run_id)]
    assert statuses == ["FAILED", "FINISHED", "FINISHED"]


def test_a_trial_leaves_no_graph_behind(search: Callable[..., Study]) -> None:
    def graphs() -> int:
        gc.collect()
        return sum(type(o).__name__ == "FuncGraph" for o in gc.get_objects())

    search(trials=2)
    before = graphs()
    search(trials=5)
    assert graphs() <= before


def test_damaged_data_ends_the_search(
    search: Callable[..., Study], around_fit: Callable[..., None]
) -> None:
    def fail(*_: Any) -> None:
        raise IntegrityError("The shard is damaged.")

    around_fit(fail)
    with pytest.raises(IntegrityError):
        search()


def test_a_search_in_which_every_trial_fails_is_refused(
    search: Callable[..., Study], around_fit: Callable[..., None]
) -> None:
    def fail(*_: Any) -> None:
        raise Refusal("Training diverged: the loss is nan.")

    around_fit(fail)
    with pytest.raises(Refusal, match=r"None of 3 trials was completed.*loss is nan"):
        search()


def test_a_metric_that_is_not_a_number_fails_its_trial(
    search: Callable[..., Study], around_fit: Callable[..., None]
) -> None:
    fits = []

    def break_the_first(run: Any, on_epoch: Any, _: Any) -> Any:
        fits.append(on_epoch)
        broken = {"val_loss": math.nan} if len(fits) == 1 else {}
        return run(lambda number, m: on_epoch(number, {**m, **broken}))

    around_fit(break_the_first)
    study = search(trials=2)
    assert [trial.state for trial in study.trials] == ["failed", "completed"]
    assert study.trials[0].curve == ()


def test_a_trial_that_others_outdo_is_pruned(
    trained: Trained, search: Callable[..., Study], around_fit: Callable[..., None]
) -> None:
    fits = []

    def spoil_the_last(run: Any, on_epoch: Any, _: Any) -> Any:
        fits.append(on_epoch)
        worse = {"val_loss": 1e3} if len(fits) == 7 else {}
        return run(lambda number, m: on_epoch(number, {**m, **worse}))

    around_fit(spoil_the_last)
    study = search(trials=7, epochs=3)
    last = study.trials[-1]
    assert (last.state, last.curve, last.value) == ("pruned", (1e3, 1e3), 1e3)
    child = runs_below(trained, study.run_id)[-1]
    assert child.info.status == "FINISHED"
    assert child.data.tags["headrace.trial.state"] == "pruned"


def test_the_accuracy_of_a_trial_is_that_of_the_weights_that_are_kept(
    search: Callable[..., Study], around_fit: Callable[..., None]
) -> None:
    told = iter([(0.7, 0.1), (0.8, 0.2)])

    def two_epochs(run: Any, on_epoch: Any, _: Any) -> Any:
        def tell(number: int, metrics: Any) -> None:
            accuracy, loss = next(told)
            on_epoch(number, {**metrics, "val_accuracy": accuracy, "val_loss": loss})

        return run(tell)

    around_fit(two_epochs)
    (trial,) = search(trials=1, metric="val_accuracy").trials
    assert trial.curve == (0.7, 0.8)
    assert trial.value == 0.7


def test_data_without_validation_rows_is_refused(
    search: Callable[..., Study], monkeypatch: pytest.MonkeyPatch, trained: Trained
) -> None:
    from dataclasses import replace

    data = module.open_data(trained.snapshot, trained.contract)
    empty = replace(
        data,
        val=replace(data.val, items=data.val.items[:0], labels=data.val.labels[:0]),
    )
    monkeypatch.setattr(module, "open_data", lambda *_: empty)
    with pytest.raises(Refusal, match="no validation rows"):
        search()
