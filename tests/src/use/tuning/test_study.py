"""A study: what is tried next, and what is kept."""

import itertools
import json
import math
import subprocess
import sys

import pytest

from headrace.errors import DependencyError, UsageError
from headrace.state.home import Home
from headrace.state.store import Store
from headrace.tasks import task
from headrace.use.tuning import space as ranges
from headrace.use.tuning.space import parse_search
from headrace.use.tuning.study import Study, Trial, metric_of

RATE = "training.learning_rate=log(1e-4,1)"
OPTIMIZER = "training.optimizer=choice(sgd,adam)"
LOSS, ACCURACY = (
    metric_of(name, task("classification")) for name in ("val_loss", "val_accuracy")
)


def a_study(settings, *texts, **changes):
    """A study in a home that does not know its data."""
    space = parse_search(texts or (RATE,))[1]
    given = {"metric": LOSS, "seed": 1, "own": None, **changes}
    return Study({}, space, store=Home(settings).anchored, **given)


def a_trial(number, point, value, **changes):
    """A completed trial of two epochs."""
    facts = {
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


def points_of(study, count):
    """The next points, as if each trial had ended with the same outcome."""
    found = []
    for number in range(len(study.trials) + 1, len(study.trials) + count + 1):
        point, _ = study.ask(number)
        study.add(a_trial(number, point, math.sin(37 * number) + 2))
        found.append(point)
    return found


def test_a_metric_of_another_task_is_refused():
    with pytest.raises(UsageError) as refused:
        metric_of("val_accuracy", task("regression"))
    assert refused.value.action == "Take val_loss or val_absolute_error."


def test_a_range_of_floats_never_ends(settings, monkeypatch):
    monkeypatch.setattr(ranges, "POINTS", 2)
    study = a_study(settings, "training.momentum=uniform(0.5,0.9)")
    points = points_of(study, 12)
    assert len({point["training.momentum"] for point in points}) == 12


def test_the_own_point_is_tried_first(settings):
    own = {"training.learning_rate": 0.0123456}
    study = a_study(settings, own=own)
    first, second = points_of(study, 2)
    assert first == own
    assert second != own


def test_the_first_trials_are_spread_over_the_range(settings):
    for seed in range(5):
        study = a_study(settings, seed=seed)
        rates = [float(p["training.learning_rate"]) for p in points_of(study, 5)]
        exponents = sorted(math.log10(rate) for rate in rates)
        gaps = [b - a for a, b in itertools.pairwise([-4, *exponents, 0])]
        assert max(gaps) < 2
        assert min(gaps[1:-1]) > 0.3


def test_the_same_seed_suggests_the_same_also_after_a_cut(settings):
    texts = (RATE, OPTIMIZER, "training.batch_size=int(16,512)")
    whole = points_of(a_study(settings, *texts), 14)
    assert len({json.dumps(point) for point in whole}) == 14
    again = a_study(settings, *texts)
    assert [trial.point for trial in again.trials] == whole
    for file in settings.home.glob(f"store/studies/{again.name}.*"):
        file.unlink()
    cut = points_of(a_study(settings, *texts), 6)
    for _ in range(8):  # another process for each
        cut += points_of(a_study(settings, *texts), 1)
    assert cut == whole
    assert points_of(a_study(settings, *texts, seed=2), 6) != whole[:6]


def test_neither_the_order_in_a_wave_nor_who_asks_changes_what_is_tried(settings):
    texts = (RATE, "training.momentum=uniform(0,0.9)")
    whole = points_of(a_study(settings, *texts, seed=3), 12)
    for file in settings.home.glob("store/studies/*"):
        file.unlink()
    for first in (1, 5, 9):
        wave = range(first, first + 4)
        for number in (*reversed(wave[1:]), first):
            study = a_study(settings, *texts, seed=3)  # of another process
            assert number in study.missing(12)
            point, _ = study.ask(number)
            study.add(a_trial(number, point, math.sin(37 * number) + 2))
    study = a_study(settings, *texts, seed=3)
    assert [trial.point for trial in study.trials] == whole
    assert study.missing(12) == []
    assert study.missing() == [13, 14, 15, 16]


def test_a_wave_of_one_knows_of_each_trial_before(settings):
    texts = (RATE, "training.momentum=uniform(0,0.9)")
    studies = [a_study(settings, *texts, wave=wave) for wave in (1, 4)]
    alone, four = (points_of(study, 16) for study in studies)
    assert alone[:5] == four[:5]  # the first trials depend on none
    assert alone[5:] != four[5:]


def test_a_wave_of_any_size_is_read_at_once(settings, monkeypatch):
    study = a_study(settings, wave=10**6)
    points_of(study, 3)
    (settings.home / f"store/studies/{study.name}.2.json").unlink()
    asked, read = [], Store.read

    def counted(store, key, sha256=""):
        asked.append(key)
        return read(store, key, sha256)

    monkeypatch.setattr(Store, "read", counted)
    again = a_study(settings, wave=10**6)
    assert [trial.number for trial in again.trials] == [1, 3]
    assert len(asked) == 4, "the study's own, and those that there are"
    assert again.missing(4) == [2, 4]
    assert again.read_trial(3) == study.trials[2]
    assert len(asked) == 4


def test_what_a_trial_depends_on_names_the_study(settings):
    study = a_study(settings)
    name = study.name
    assert a_study(settings).name == name
    others = {
        a_study(settings, "training.learning_rate=log(1e-4,2)").name,
        a_study(settings, seed=2).name,
        a_study(settings, metric=ACCURACY).name,
        a_study(settings, wave=2).name,
        Study({"spec a": "1"}, study.space, LOSS, 1, None, study.store).name,
    }
    assert len(others | {name}) == 6


def test_no_point_is_tried_twice_and_a_finite_space_ends(settings):
    texts = (OPTIMIZER, "training.batch_size=int(1,3)")
    study = a_study(settings, *texts)
    assert study.wanted(20) == 6
    assert study.wanted(4) == 4
    points = points_of(study, 6)
    assert sorted(points, key=str) == sorted(study.space.points(), key=str)


def test_the_best_is_the_lowest_loss_or_the_highest_accuracy(settings):
    for metric, number in ((LOSS, 2), (ACCURACY, 3)):
        study = a_study(settings, metric=metric)
        assert study.best is None
        for n, value in enumerate((0.5, 0.1, 0.9, 0.1), start=1):
            study.add(a_trial(n, {"training.learning_rate": 0.1 * n}, value))
        study.add(
            a_trial(5, {"training.learning_rate": 0.7}, value=0.0, state="pruned")
        )
        assert study.best is not None
        assert study.best.number == number


def test_a_worse_trial_is_told_to_stop_and_a_better_one_is_not(settings):
    study = a_study(settings)
    points_of(study, 8)
    _, trial = study.ask(9)
    trial.report(50.0, 1)
    assert not trial.should_prune()
    trial.report(50.0, 2)
    assert trial.should_prune()
    _, trial = study.ask(9)
    trial.report(0.01, 2)
    assert not trial.should_prune()


def test_the_sampler_learns_from_a_failure(settings):
    low, high = 0, 0
    study = a_study(settings, "training.learning_rate=uniform(0.1,10)")
    for number in range(1, 31):
        point, _ = study.ask(number)
        rate = point["training.learning_rate"]
        assert isinstance(rate, float)
        if rate > 2:
            high += 1
            study.add(a_trial(number, point, None, state="failed"))
        else:
            low += 1
            study.add(a_trial(number, point, rate))
    assert low > high


def test_a_second_process_is_told_to_wait(settings):
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
        with pytest.raises(
            DependencyError, match="Another process is running the search"
        ):
            with study.alone(settings):
                raise AssertionError
        with a_study(settings, seed=2).alone(settings):
            pass
        other.kill()
    with study.alone(settings):
        pass


def test_a_search_that_was_begun_with_another_wave_is_known(settings):
    first = a_study(settings, wave=4)
    assert first.other_waves() == []
    first.keep(run_id="a")
    assert first.other_waves() == []
    assert a_study(settings, wave=8).other_waves() == [4]
    assert a_study(settings, OPTIMIZER, wave=8).other_waves() == []
