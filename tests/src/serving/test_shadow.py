"""The shadow: it answers copies, and nobody notices what happens to it."""

import logging
import threading
import time

import numpy as np
import pytest
from scipy.stats import kstest
from tests.src.serving.asked import IMAGES, SOUNDS, an_answer

from headrace.errors import DependencyError
from headrace.serving import shadow as module
from headrace.serving.shadow import Shadow, fraction_of
from headrace.serving.tensors import BATCH_LIMIT

NINE = np.array([0.1, 0.1, 0.8], np.float32)


class Toy:
    """An engine that always gives one answer, or does what it is told."""

    name = "toy"

    def __init__(self, output=NINE):
        self.output = output
        self.calls = []
        self.before = lambda: None
        self.closed = threading.Event()

    def __call__(self, items):
        self.calls.append(len(items))
        self.before()
        if self.closed.is_set():
            raise DependencyError("The process was closed.", "Start it.")
        return np.tile(self.output, (len(items), 1))

    def close(self):
        self.closed.set()


class World:
    """Shadows, their engines in the order of their starts, and what they answered."""

    def __init__(self):
        self.engines = []
        self.seen = []
        self.shadows = []
        self.open = Toy

    def start(self, description=IMAGES, share=1.0):
        def open_engine():
            engine = self.open()
            self.engines.append(engine)
            return engine

        made = Shadow("digits", 3, description, open_engine, self.seen.append, share)
        self.shadows.append(made)
        return made


@pytest.fixture
def world():
    world = World()
    yield world
    for shadow in world.shadows:
        shadow.close()


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def told(shadow):
    """The metrics of a shadow."""
    found = {metric.name: metric.samples[0].value for metric in shadow.metrics()}
    return {name.removeprefix("headrace_shadow_"): n for name, n in found.items()}


def test_its_answers_have_the_ids_of_the_requests(world):
    shadow = world.start()
    until(lambda: shadow.is_running)
    asked = [an_answer(f"r{i}", seed=i, count=1 + i % 3) for i in range(30)]
    for answered in asked:
        shadow(answered)
    until(lambda: len(world.seen) == 30)
    for own, given in zip(world.seen, asked, strict=True):
        assert (own.request_id, own.time_us) == (given.request_id, given.time_us)
        assert own.items is given.items
        assert (own.model, own.version, own.role) == ("digits", 3, "shadow")
        assert own.engine == "toy"
        assert own.latency_ms > 0
        np.testing.assert_array_equal(own.outputs, np.tile(NINE, (len(given.items), 1)))
    assert (shadow.answered, shadow.dropped, shadow.restarts) == (60, 0, 0)
    agree = sum(int((a.outputs.argmax(axis=1) == 2).sum()) for a in asked)
    assert shadow.compared == 60
    assert told(shadow)["agreement"] == pytest.approx(agree / 60)
    assert max(world.engines[0].calls) > 3, "those that wait are answered together"


def test_numbers_are_compared_by_their_difference(world):
    world.open = lambda: Toy(np.array([2.0], np.float32))
    shadow = world.start(SOUNDS)
    until(lambda: shadow.is_running)
    for value in (1.0, 2.5):
        shadow(an_answer("r", SOUNDS, outputs=[[value]]))
    until(lambda: shadow.compared == 2)
    assert told(shadow)["difference"] == pytest.approx(0.75)
    assert "agreement" not in told(shadow)


@pytest.mark.parametrize("role", ["shadow", "try"])
def test_only_what_the_champion_answered_is_copied(world, role):
    shadow = world.start()
    until(lambda: shadow.is_running)
    shadow(an_answer("a", role=role))
    shadow(an_answer("b", model="messages"))
    shadow(an_answer("c"))
    until(lambda: world.seen)
    assert [answered.request_id for answered in world.seen] == ["c"]


def test_a_share_of_the_requests_is_copied_by_their_ids(world):
    shadow = world.start(share=0.1)
    until(lambda: shadow.is_running)
    ids = [f"r{number}" for number in range(2000)]
    chosen = [i for i in ids if fraction_of(i) < 0.1]
    assert 140 <= len(chosen) <= 260
    for i in ids:
        shadow(an_answer(i))
    until(lambda: len(world.seen) >= len(chosen))
    assert [answered.request_id for answered in world.seen] == chosen
    assert shadow.dropped == 0


IDS = {
    "counted": lambda number: f"0f3a{number:08x}",
    "decimal": str,
    "timed": lambda number: f"2026-11-27T12:00:{number / 1000:09.3f}",
    "long": lambda number: "a" * 100 + str(number),
}


@pytest.mark.parametrize("name", IDS)
def test_fractions_are_uniform_for_all_kinds_of_ids(name):
    make = IDS[name]
    fractions = np.array([fraction_of(make(number)) for number in range(20_000)])
    assert kstest(fractions, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(fractions[:-1], fractions[1:])[0, 1]) < 0.03
    for share in (0.01, 0.05, 0.5):
        error = 4 * (share * (1 - share) / len(fractions)) ** 0.5
        assert abs((fractions < share).mean() - share) < error


def test_copies_of_other_items_are_dropped(world):
    shadow = world.start()
    until(lambda: shadow.is_running)
    larger = IMAGES.model_copy(update={"shape": (9, 9, 1)})
    shadow(an_answer("after a promotion", larger))
    shadow(an_answer("as before"))
    until(lambda: shadow.answered == 1)
    assert shadow.dropped == 1


def test_a_shadow_that_hangs_holds_nobody_up(world):
    shadow = world.start()
    until(lambda: world.engines)
    world.engines[0].before = world.engines[0].closed.wait
    answered, asked = an_answer(), 3 * module.MOST_ROWS
    for _ in range(asked):
        shadow(answered)
    assert shadow.answered == 0
    assert asked - 2 * module.MOST_ROWS <= shadow.dropped <= asked - module.MOST_ROWS
    shadow.close()
    assert world.engines[0].closed.is_set()


def test_the_largest_request_that_a_server_takes_is_copied(world):
    shadow = world.start()
    shadow(an_answer(count=BATCH_LIMIT))
    until(lambda: shadow.answered == BATCH_LIMIT)
    assert shadow.dropped == 0


def test_large_items_are_bounded_in_bytes(world):
    world.open = lambda: Toy(np.array([2.0], np.float32))
    shadow = world.start(SOUNDS)
    until(lambda: world.engines)
    world.engines[0].before = world.engines[0].closed.wait
    large = an_answer("r", SOUNDS, count=100)._replace(
        items=np.zeros((100, 80_000), np.float32)
    )
    for _ in range(10):
        shadow(large)
    assert shadow.dropped == 1000


def test_a_shadow_that_fails_is_started_again(world, caplog):
    shadow = world.start()
    until(lambda: world.engines)
    world.engines[0].before = world.engines[0].close
    with caplog.at_level(logging.WARNING):
        shadow(an_answer("lost"))
        until(lambda: len(world.engines) == 2)
    until(lambda: shadow.is_running)
    shadow(an_answer("answered"))
    until(lambda: world.seen)
    assert [answered.request_id for answered in world.seen] == ["answered"]
    assert (shadow.answered, shadow.dropped, shadow.restarts) == (1, 1, 1)
    message = "digits/3 does not answer, and is started again in 0.5 s: The process was"
    assert message in caplog.text


@pytest.mark.system
def test_a_shadow_that_does_not_start_is_tried_again(world):
    failures = iter([DependencyError("There is no memory.", "Add some."), OSError(12)])

    def fail():
        for error in failures:
            raise error
        return Toy()

    world.open = fail
    shadow = world.start()
    until(lambda: shadow.is_running)
    assert shadow.restarts == 0
    shadow(an_answer("r"))
    until(lambda: world.seen)
