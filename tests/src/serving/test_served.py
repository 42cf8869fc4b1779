"""A version answers in the event loop or in a thread, in order, and is closed last."""

import asyncio
import threading
import time

import numpy as np
import pytest
from tests.src.serving.conftest import IMAGE, Site, Toy, serving

from headrace.errors import DependencyError, NotFoundError
from headrace.models.engines.hosted import ROWS_AT_ONCE, Batching
from headrace.serving.listing import WantedVersion
from headrace.serving.replies import HttpError
from headrace.serving.served import WAITING_LIMIT


class Slow(Toy):
    """Answers with the first pixel of each item, once it is let go."""

    def __init__(self):
        super().__init__(1, 0)
        self.go = threading.Event()

    def __call__(self, items):
        assert self.go.wait(10)
        self.rows.append(len(items))
        return items.reshape(len(items), -1)[:, :1].astype(np.float32)


def images(*firsts):
    items = np.zeros((len(firsts), 4, 4, 1), np.uint8)
    items[:, 0, 0, 0] = firsts
    return items


async def _asked(served, *several):
    tasks = [asyncio.ensure_future(served.answer(items)) for items in several]
    await asyncio.sleep(0.05)
    return tasks


def test_what_queues_is_answered_together_and_each_gets_its_own():
    async def ask():
        engine = Slow()
        served = serving(IMAGE, engine=engine, inline_rows=0)
        tasks = await _asked(served, images(1), images(2, 3), images(4))
        assert served.waiting == 3
        engine.go.set()
        answers = await asyncio.gather(*tasks)
        assert [a.ravel().tolist() for a in answers] == [[1], [2, 3], [4]]
        assert served.waiting == 0
        assert sum(engine.rows) == 4 and len(engine.rows) < 3
        served.close()

    asyncio.run(ask())


def test_a_large_request_lets_others_pass_between_its_parts():
    async def ask():
        engine = Slow()
        served = serving(IMAGE, engine=engine, inline_rows=0)
        large = images(*[number % 256 for number in range(3 * ROWS_AT_ONCE + 5)])
        first, second = await _asked(served, large, images(9))
        order = []
        first.add_done_callback(lambda _: order.append("large"))
        second.add_done_callback(lambda _: order.append("small"))
        engine.go.set()
        answers = await first
        await second
        assert answers.ravel().tolist() == large[:, 0, 0, 0].tolist()
        assert order == ["small", "large"]
        assert max(engine.rows) <= ROWS_AT_ONCE
        served.close()

    asyncio.run(ask())


def test_items_of_two_types_are_answered_apart():
    async def ask():
        engine = Slow()
        served = serving(IMAGE, engine=engine, inline_rows=0)
        floats = images(7).astype(np.float32) + np.float32(0.5)
        tasks = await _asked(served, images(1), images(2), floats)
        engine.go.set()
        answers = await asyncio.gather(*tasks)
        assert [a.ravel().tolist() for a in answers] == [[1], [2], [7.5]]
        served.close()

    asyncio.run(ask())


def test_the_queue_is_bounded():
    async def ask():
        engine = Slow()
        served = serving(IMAGE, engine=engine, inline_rows=0)
        tasks = await _asked(served, *[images(1)] * WAITING_LIMIT)
        with pytest.raises(HttpError) as refused:
            await served.answer(images(1))
        assert refused.value.status == 503
        assert (b"retry-after", b"1") in refused.value.headers
        engine.go.set()
        await asyncio.gather(*tasks)
        served.close()

    asyncio.run(ask())


def test_an_engine_is_called_by_one_thread_at_a_time():
    async def ask():
        engine = Slow()
        served = serving(IMAGE, engine=engine)
        engine.go.set()
        assert served.answer_now(images(3)).tolist() == [[3.0]]
        assert served.answer_now(images(*range(65))) is None
        engine.go.clear()
        tasks = await _asked(served, images(1))
        assert served.answer_now(images(3)) is None
        engine.go.set()
        await asyncio.gather(*tasks)
        served.close()

    asyncio.run(ask())


def test_an_engines_failure_is_that_of_its_requests():
    class Failing(Toy):
        def __call__(self, items):
            raise ValueError("no")

    async def ask():
        served = serving(IMAGE, engine=Failing(3, 0), inline_rows=0)
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await served.answer(images(1))
        assert served.waiting == 0
        served.close()

    asyncio.run(ask())


class Ended(Toy):
    """An engine whose process has ended."""

    failure = "ended with -9"

    def __call__(self, items):
        raise DependencyError("The process ended.", "Try again.")


def test_while_a_process_is_started_again_requests_are_told_when_to_come_back():
    async def ask():
        engine = Slow()
        engine.go.set()
        served = serving(IMAGE, engine=Ended(3, 0), inline_rows=0)
        with pytest.raises(HttpError) as refused:
            await served.answer(images(1))
        assert refused.value.status == 503
        assert (b"retry-after", b"5") in refused.value.headers
        assert served.waiting == 0
        other = serving(IMAGE, engine=engine, inline_rows=0)
        site = Site(served)
        site.models.replace(site.slots["toy"], other)
        assert (await site.slots["toy"].champion().answer(images(1))).tolist() == [[1]]
        other.close()

    asyncio.run(ask())


def test_an_engine_that_was_closed_keeps_nobody_waiting():
    async def ask():
        worker = Batching(Slow())
        worker.close()
        with pytest.raises(DependencyError, match="closed"):
            await worker.answer(images(1))

    asyncio.run(ask())


def test_a_retired_version_is_closed_after_its_last_answer():
    async def ask():
        engine = Slow()
        served = serving(IMAGE, engine=engine, inline_rows=0)
        tasks = await _asked(served, images(5))
        served.retire()
        await asyncio.sleep(0.05)
        assert not engine.is_closed
        engine.go.set()
        assert (await tasks[0]).tolist() == [[5.0]]
        for _ in range(200):
            if engine.is_closed:
                break
            await asyncio.sleep(0.02)
        assert engine.is_closed

    asyncio.run(ask())


def test_an_unused_version_is_closed_when_it_is_retired():
    served = serving(IMAGE, engine=(engine := Toy(3, 0)))
    served.retire()
    limit = time.monotonic() + 10
    while not engine.is_closed:
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_names_of_models():
    assert (
        WantedVersion.parse("digits")
        == WantedVersion.parse("digits@champion")
        == ("digits", None)
    )
    assert WantedVersion.parse("digits/3") == ("digits", 3)
    for name in ("", "/3", "digits/", "digits/x", "digits@best", "@champion"):
        with pytest.raises(NotFoundError, match="is not a model"):
            WantedVersion.parse(name)
