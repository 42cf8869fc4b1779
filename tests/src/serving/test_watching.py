"""A promotion reaches the server; what does not load, or no ledger, harms nothing."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest
from tests.src.serving.conftest import IMAGE, Site, Toy, a_row, serving

from headrace.errors import IntegrityError
from headrace.serving import watching
from headrace.serving.listing import Slot
from headrace.serving.watching import Watcher
from headrace.state.ledger import Ledger


class House:
    """A ledger with three versions, and a server that follows its champion."""

    def __init__(self, folder):
        self.file = folder / "ledger.db"
        self.ledger = Ledger(f"sqlite:///{self.file}")
        for number in (1, 2, 3):
            self.ledger.add_version(a_row("toy", number, IMAGE))
        self.promote(1)
        self.broken = set()
        self.opened = []
        self.site = Site(serving(IMAGE, 1))
        self.slot = self.site.slots["toy"]
        self.slot.follows = True
        self.watcher = Watcher(
            [self.slot],
            f"sqlite:///{self.file}",
            self.open,
            self.site.models.replace,
        )
        self.site.models.notices.append(self.watcher.notice)

    def open(self, row, role):
        self.opened.append(row.version)
        if row.version in self.broken:
            raise IntegrityError("its file was changed")
        return serving(IMAGE, row.version)

    def promote(self, version):
        last = self.ledger.sequence("toy")
        self.ledger.promote(
            "toy",
            version,
            who="ada",
            why="a test",
            expected_sequence=last,
            forced=True,
        )

    @property
    def version(self):
        assert self.slot.current is not None
        return self.slot.current.version

    def run(self, *steps):
        """Watch, and wait after each step until it gives something true."""

        async def watch():
            self.watcher.start()
            try:
                for step in steps:
                    limit = time.monotonic() + 20
                    while not step():
                        assert time.monotonic() < limit, step
                        await asyncio.sleep(0.01)
            finally:
                self.watcher.stop()

        asyncio.run(watch())


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(watching, "PAUSES_SECONDS", (0.1, 300.0))
    return House(tmp_path)


def once(call):
    """A step that is done at once."""

    def step():
        call()
        return True

    return step


def test_a_promotion_and_a_rollback_reach_the_server(house):
    first = house.slot.current
    assert first is not None and isinstance(first.engine, Toy)
    engine = first.engine
    house.run(
        once(lambda: house.promote(2)),
        lambda: house.version == 2,
        lambda: engine.is_closed,
        once(
            lambda: house.ledger.rollback("toy", who="ada", why="", expected_sequence=2)
        ),
        lambda: house.version == 1,
    )
    assert house.watcher.swaps["toy"] == 2 and house.opened == [2, 1]


def test_nothing_is_opened_while_nothing_changes(house):
    looked = []
    champion = Ledger.champion

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Ledger, "champion", lambda *a: (looked.append(1), champion(*a))[1]
        )
        house.run(lambda: len(looked) > 5)
    assert house.opened == []


def test_a_version_that_does_not_load_leaves_the_former_one(house):
    house.broken = {2}

    def ready():
        return house.slot.failure == "version 2 does not load"

    house.run(
        once(lambda: house.promote(2)),
        ready,
        lambda: house.opened.count(2) > 1,  # it is tried again
        lambda: house.version == 1,
        once(house.broken.clear),
        lambda: house.version == 2,
    )
    assert house.slot.failure == ""
    assert house.watcher.failures["toy"] == house.opened.count(2) - 1


def test_a_rollback_of_a_failed_promotion_ends_the_failure(house):
    house.broken = {2}
    house.run(
        once(lambda: house.promote(2)),
        lambda: house.slot.failure,
        once(
            lambda: house.ledger.rollback("toy", who="ada", why="", expected_sequence=2)
        ),
        lambda: not house.slot.failure,
    )
    assert house.version == 1


def test_without_its_ledger_the_server_says_so_and_serves(house):
    away = house.file.with_suffix(".away")
    house.run(
        once(lambda: house.file.rename(away)),
        lambda: house.watcher.ledger_failure,
    )
    assert not house.file.exists()  # no empty one was made
    assert house.version == 1
    assert house.watcher.notice() == {"ledger": "does not answer"}
    found = {one.name: one.samples for one in house.watcher.metrics()}
    (is_up,) = found["headrace_ledger_up"]
    assert (is_up.labels, is_up.value) == ({}, 0.0)


def test_the_ledger_is_watched_again_when_it_is_back(house):
    away = house.file.with_suffix(".away")
    house.run(
        once(lambda: house.file.rename(away)),
        lambda: house.watcher.ledger_failure,
        once(lambda: away.rename(house.file)),
        lambda: not house.watcher.ledger_failure,
        once(lambda: house.promote(2)),
        lambda: house.version == 2,
    )


def test_an_engine_that_has_ended_is_opened_again(house, caplog):
    @contextmanager
    def ended():
        current = house.slot.current
        assert current is not None
        current.engine.failure = "ended with -9"
        yield

    first = house.slot.current
    with ended():
        house.run(lambda: house.slot.current is not first)
    assert house.opened == [1] and house.version == 1
    assert "version 1 is opened again: its process ended with -9" in caplog.text


def test_a_pinned_version_is_opened_again_as_well(house):
    pinned = serving(IMAGE, 3)
    pinned.role = "pinned"
    house.slot.pinned[3] = pinned
    pinned.engine.failure = "ended with -9"

    def role(row, role):
        served = House.open(house, row, role)
        served.role = role
        return served

    house.watcher._open = role
    house.run(lambda: house.slot.pinned[3] is not pinned)
    assert house.version == 1 and house.slot.pinned[3].role == "pinned"


def ends(served):
    """A step: the process of a version ends."""
    assert served is not None
    return once(lambda: setattr(served.engine, "failure", "ended with -9"))


def test_a_rollback_while_an_engine_is_built_leaves_the_former_version(house):
    building, go, opened = threading.Event(), threading.Event(), []
    open_ = house.watcher._open

    def slowly(row, role):
        building.set()
        assert go.wait(20)
        opened.append(open_(row, role))
        return opened[-1]

    house.watcher._open, first = slowly, house.slot.current
    house.run(
        once(lambda: house.promote(2)),
        building.is_set,
        once(
            lambda: house.ledger.rollback("toy", who="ada", why="", expected_sequence=2)
        ),
        once(go.set),
        lambda: opened and opened[0].engine.is_closed,
    )
    assert house.slot.current is first and not house.watcher.swaps["toy"]


def test_a_build_for_one_model_does_not_hold_up_another(house):
    go, building, other = threading.Event(), threading.Event(), Slot("other")
    other.current = serving(IMAGE, 1, model="other")
    other.current.engine.failure = "ended with -9"
    former = other.current
    house.watcher._slots = [house.slot, other]

    def slowly(row, role):
        if row.model == "toy":
            building.set()
            assert go.wait(20)
        return serving(IMAGE, row.version, model=row.model)

    house.watcher._open = slowly
    house.run(
        once(lambda: house.promote(2)),
        building.is_set,
        lambda: other.current is not former,
        once(go.set),
        lambda: house.version == 2,
    )


def test_the_end_of_the_server_amid_an_opening_is_no_failure(house, caplog):
    def interrupted(row, role):
        house.watcher.stop()
        raise IntegrityError("its process was closed")

    house.watcher._open = interrupted
    house.promote(2)
    house.watcher._look(house.slot)
    assert house.watcher._stopped.is_set()
    assert house.watcher.failures["toy"] == 0
    assert "does not load" not in caplog.text


def test_a_fault_of_a_swap_does_not_end_the_watch(house, monkeypatch):
    replace, faults = house.site.models.replace, []

    def fails_once(slot, served):
        if not faults:
            faults.append(served.version)
            raise RuntimeError("can't start new thread")
        replace(slot, served)

    monkeypatch.setattr(house.watcher, "_replace", fails_once)
    house.run(
        once(lambda: house.promote(2)),
        lambda: faults == [2],
        once(lambda: house.promote(3)),
        lambda: house.version == 3,
    )
