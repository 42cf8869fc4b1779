"""Bodies are bounded in size, in time and in memory of all together."""

import asyncio

import pytest
from tests.src.serving.conftest import IMAGE, Site, serving

from headrace.serving.bodies import Bodies
from headrace.serving.replies import HttpError

PATH = "/models/toy/predict"
RAW = {"content-type": "application/octet-stream"}


def site(**limits):
    return Site(serving(IMAGE), bodies=Bodies(**{"limit": 1000, **limits}))


def test_a_body_may_come_in_parts():
    reply = asyncio.run(site().send("POST", PATH, [b"ab"] * 8, RAW))
    assert reply.status == 200


def test_a_declared_length_over_the_limit_is_refused_unread():
    named = {**RAW, "content-length": "123456789"}
    taken = []

    async def receive():
        taken.append(1)
        return {"type": "http.disconnect"}

    reply = asyncio.run(site().send("POST", PATH, (), named, receive))
    assert reply.status == 413 and "1,000 bytes" in reply.json["error"]
    assert reply.headers["connection"] == "close"
    assert len(taken) == 1  # after the reply


def test_an_endless_body_is_refused_as_soon_as_it_is_over_the_limit():
    taken = []

    async def receive():
        taken.append(1)
        return {"type": "http.request", "body": bytes(300), "more_body": True}

    async def ask():
        bounded = site()
        asking = asyncio.ensure_future(bounded.send("POST", PATH, (), RAW, receive))
        done, _ = await asyncio.wait([asking], timeout=10)
        assert done
        assert bounded.app.bodies.held == 0
        return asking.result()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headrace.serving.app.discard", _no_more)
        reply = asyncio.run(ask())
    assert reply.status == 413 and len(taken) == 4


async def _no_more(receive):
    pass


def test_all_bodies_together_are_bounded():
    async def ask():
        bounded = site(total=1500)
        first = asyncio.Event()

        async def slowly():
            if not first.is_set():
                first.set()
                return {"type": "http.request", "body": bytes(900), "more_body": True}
            await asyncio.sleep(60)

        holding = asyncio.ensure_future(bounded.send("POST", PATH, (), RAW, slowly))
        await first.wait()
        await asyncio.sleep(0)
        reply = await bounded.send("POST", PATH, [bytes(450), bytes(450)], RAW)
        held = bounded.app.bodies.held
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding
        assert bounded.app.bodies.held == 0
        return reply, held

    reply, held = asyncio.run(ask())
    assert (reply.status, held) == (503, 900)
    assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize("parts", [[bytes(16)], [bytes(8), bytes(8)]])
def test_a_body_is_held_until_its_request_is_answered(parts):
    bounded, held = site(), list[int]()

    async def waits(request):
        held.append(bounded.app.bodies.held)
        raise HttpError(503, "no answer")

    bounded.app.add("/waits", waits, "POST")
    assert asyncio.run(bounded.send("POST", "/waits", parts, RAW)).status == 503
    assert (held, bounded.app.bodies.held) == ([16], 0)


def test_a_client_that_has_gone_gets_nothing():
    with pytest.raises(ConnectionError):
        asyncio.run(site().send("POST", PATH, (), RAW))
