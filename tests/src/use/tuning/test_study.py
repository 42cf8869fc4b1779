"""A study: what is tried next, and what is kept."""

import itertools
import json
import math

import numpy as np
import pytest

from headrace.errors import DependencyError, UsageError
from headrace.tasks import task
from headrace.use.tuning import study as module
from headrace.use.tuning.space import Dimension, parse_search
from headrace.use.tuning.study import Outcome, Study, metric_of

pytestmark = pytest.mark.system

RATE = "training.learning_rate=log(1e-4,1)"
OPTIMIZER = "training.optimizer=choice(sgd,adam)"
LOSS, ACCURACY = (
    metric_of(name, task("classification")) for name in ("val_loss", "val_accuracy")
)


def a_study(settings, *texts, depends_on=(), **changes):
    """A study in a home that does not know its data."""
    space = parse_search(texts or (RATE,))[1]
    given = {"metric": LOSS, "seed": 1, "own": None, **changes}
    return Study(list(depends_on), space, settings=settings, **given)


def an_outcome(value, **changes):
    """A completed trial of two epochs."""
    facts = {
        "state": "completed",
        "reason": "",
        "value": value,
        "curve": () if value is None else (2 * value, value),
        "seconds": 1.0,
        "run_id": "",
        **changes,
    }
    return Outcome(**facts)


def points_of(study, count):
    """The next points, as if each trial had ended with the same outcome."""
    found, last = [], len(study.table()) + count
    while begun := study.begin(last):
        for number, point in begun.items():
            study.record(number, an_outcome(math.sin(37 * number) + 2))
            found.append(point)
    return found


@pytest.fixture
def forget(settings):
    """Delete all trials of a home."""
    return (settings.home / "tuning.db").unlink


def test_a_metric_of_another_task_is_refused():
    with pytest.raises(UsageError) as refused:
        metric_of("val_accuracy", task("regression"))
    assert refused.value.action == "Take val_loss or val_absolute_error."


def test_a_range_of_floats_never_ends(settings, monkeypatch):
    monkeypatch.setattr(Dimension, "rounded", lambda _, value: round(value, 1))
    study = a_study(settings, "training.momentum=uniform(0.5,0.9)")
    points = points_of(study, 12)
    assert len({point["training.momentum"] for point in points}) == 12


def test_the_own_point_is_tried_first(settings):
    own = {"training.learning_rate": 0.0123456}
    study = a_study(settings, own=own)
    first, second = points_of(study, 2)
    assert first == own
    assert second != own


def test_the_same_seed_suggests_the_same_also_after_a_cut(settings, forget):
    texts = (RATE, OPTIMIZER, "training.batch_size=int(16,512)")
    whole = points_of(a_study(settings, *texts), 14)
    assert len({json.dumps(point) for point in whole}) == 14
    again = a_study(settings, *texts)
    assert [again.point(row["number"]) for row in again.table()] == whole
    forget()
    cut = points_of(a_study(settings, *texts), 6)
    for _ in range(8):  # another process for each
        cut += points_of(a_study(settings, *texts), 1)
    assert cut == whole
    assert points_of(a_study(settings, *texts, seed=2), 6) != whole[:6]


def test_neither_the_order_in_a_wave_nor_a_kill_changes_what_is_tried(settings, forget):
    texts = (RATE, "training.momentum=uniform(0,0.9)")
    whole = points_of(a_study(settings, *texts, seed=3), 12)
    forget()
    for first in (1, 5, 9):
        for number in (first + 3, first + 1, first, first + 2):
            study = a_study(settings, *texts, seed=3)  # of another process
            assert number in study.begin(12)
            study.record(number, an_outcome(math.sin(37 * number) + 2))
    study = a_study(settings, *texts, seed=3)
    assert [study.point(number) for number in range(1, 13)] == whole
    assert study.begin(12) == {}
    assert [*study.begin(99)] == [13, 14, 15, 16]


def test_a_process_that_is_killed_at_any_step_changes_nothing(
    settings, forget, monkeypatch
):
    whole = points_of(a_study(settings, RATE, OPTIMIZER), 10)
    forget()
    storage, allowed = module.storage, itertools.cycle(range(1, 4))

    class Killed(BaseException):
        pass

    def dying(settings):
        """A storage that writes a few things, and then no more."""
        kept, left = storage(settings), iter(range(next(allowed)))

        def limited(write):
            def call(*given, **named):
                if next(left, None) is None:
                    raise Killed
                return write(*given, **named)

            return call

        for name in (
            *("create_new_trial", "set_trial_user_attr"),
            "set_trial_state_values",
        ):
            setattr(kept, name, limited(getattr(kept, name)))
        return kept

    monkeypatch.setattr(module, "storage", dying)
    kills, study = 0, a_study(settings, RATE, OPTIMIZER)
    while len(study.table()) < 10:
        try:
            points_of(study, 10 - len(study.table()))
        except Killed:
            kills += 1
            study = a_study(settings, RATE, OPTIMIZER)
    assert [study.point(number) for number in range(1, 11)] == whole
    assert len({json.dumps(point) for point in whole}) == 10
    assert kills > 10


def test_a_wave_of_one_knows_of_each_trial_before(settings):
    texts = (RATE, "training.momentum=uniform(0,0.9)")
    studies = [a_study(settings, *texts, wave=wave) for wave in (1, 4)]
    alone, four = (points_of(study, 16) for study in studies)
    assert alone[:5] == four[:5]  # the first trials depend on none
    assert alone[5:] != four[5:]


def test_what_a_trial_depends_on_names_the_study(settings):
    study = a_study(settings)
    name = study.name
    assert a_study(settings).name == name
    others = {
        a_study(settings, "training.learning_rate=log(1e-4,2)").name,
        a_study(settings, seed=2).name,
        a_study(settings, metric=ACCURACY).name,
        a_study(settings, wave=2).name,
        a_study(settings, depends_on=["1"]).name,
    }
    assert len(others | {name}) == 6


def test_no_point_is_tried_twice_and_a_finite_space_ends(settings):
    texts = (OPTIMIZER, "training.batch_size=int(1,3)")
    study = a_study(settings, *texts)
    assert study.wanted(20) == 6
    assert study.wanted(4) == 4
    points = points_of(study, 6)
    assert sorted(points, key=str) == sorted(study.space.points(), key=str)


@pytest.mark.parametrize(("metric", "best"), [(LOSS, 2), (ACCURACY, 3)])
def test_the_best_is_the_lowest_loss_or_the_highest_accuracy(settings, metric, best):
    study = a_study(settings, metric=metric, wave=5)
    assert study.best() is None
    values = dict(enumerate((0.5, 0.1, 0.9, 0.1, 0.0), start=1))
    for number in study.begin(5):
        state = "pruned" if number == 5 else "completed"
        study.record(number, an_outcome(values[number], state=state))
    assert study.best()["number"] == best


def test_a_trial_is_bounded_by_the_median_of_earlier_waves(settings):
    study = a_study(settings)
    points_of(study, 4)
    study.begin(8)
    assert study.bounds(5, 3) == {}, "as fewer than five trials were completed"
    points_of(study, 5)
    values = sorted(math.sin(37 * number) + 2 for number in range(1, 9))
    median = (values[3] + values[4]) / 2
    assert study.bounds(9, 9) == study.bounds(12, 3) == {2: median}
    assert study.bounds(9, 2) == {}, "as none is stopped after its last epoch"


def test_the_sampler_learns_from_a_failure(settings):
    low, high = 0, 0
    for seed in (1, 2, 3):
        study = a_study(settings, "training.learning_rate=uniform(0.1,10)", seed=seed)
        while begun := study.begin(30):
            for number, point in begun.items():
                rate = point["training.learning_rate"]
                assert isinstance(rate, float)
                if rate > 2:
                    high += 1
                    study.record(number, an_outcome(None, state="failed"))
                else:
                    low += 1
                    study.record(number, an_outcome(rate))
    assert low > high


def test_a_study_tells_its_run_and_what_is_reported(settings):
    study = a_study(settings)
    points_of(study, 2)
    study.keep(run_id="r1")
    assert not study.is_concluded(2)
    study.keep(concluded=2)
    assert a_study(settings).is_concluded(2)
    assert not a_study(settings).is_concluded(3)
    assert a_study(settings).facts() == {"run_id": "r1", "concluded": 2}


def test_a_storage_that_cannot_be_written_names_the_remedy(settings):
    (settings.home / "tuning.db").write_bytes(b"no database" * 1000)
    with pytest.raises(DependencyError, match="not a database") as failed:
        a_study(settings)
    assert "run the same command again" in failed.value.action


def test_fields_that_depend_on_one_another_are_drawn_together(settings):
    """Of Hartmann's function, whose least value is -3.32237.

    With these seeds 0.67 is left on average; with fields drawn one by one, 0.94.
    """
    fields = [f"model.arguments.x{i}" for i in range(6)]
    left = []
    for seed in range(5):
        study = a_study(settings, *(f"{f}=uniform(0,1)" for f in fields), seed=seed)
        while begun := study.begin(40):
            for number, point in begun.items():
                value = hartmann(np.array([point[field] for field in fields]))
                study.record(number, an_outcome(value))
        left.append(3.32237 + study.best()["value"])
    assert np.mean(left) < 0.8, left


def hartmann(place):
    """Hartmann's function of six variables from 0 to 1 (Dixon and Szego, 1978)."""
    scales = np.array(
        [
            [10, 3, 17, 3.5, 1.7, 8],
            [0.05, 10, 17, 0.1, 8, 14],
            [3, 3.5, 1.7, 10, 17, 8],
            [17, 8, 0.05, 10, 0.1, 14],
        ]
    )
    centres = 1e-4 * np.array(
        [
            [1312, 1696, 5569, 124, 8283, 5886],
            [2329, 4135, 8307, 3736, 1004, 9991],
            [2348, 1451, 3522, 2883, 3047, 6650],
            [4047, 8828, 8732, 5743, 1091, 381],
        ]
    )
    exponents = (scales * (place - centres) ** 2).sum(1)
    return float(-np.array([1, 1.2, 3, 3.2]) @ np.exp(-exponents))
