"""The trial of a canary in a server: its requests, its answers, and its end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from headrace.serving.choosing import answers_same_requests
from headrace.serving.replies import HttpError
from headrace.serving.served import WAITING_LIMIT

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.serving.canary import Canary
    from headrace.serving.served import Served
    from headrace.serving.slots import Slot
    from headrace.tasks.forms import Outputs

ANSWER_SECONDS = 2.0  # then the champion answers
log = logging.getLogger("headrace")


class CanaryTrial:
    """Lets a canary answer its share of a model's requests.

    It is used in the event loop only.

    Args:
        slot: the model, which is changed.
        canary: what it gets, and whether it goes on.
        served: the version; None: it does not load, and gets no requests.

    Attributes:
        served: the version while it gets requests, else None.
    """

    def __init__(self, slot: Slot, canary: Canary, served: Served | None) -> None:
        self.canary = canary
        self.served = served
        self._slot = slot
        slot.trial, slot.choose = self, self.choose
        canary.on_end = self._end
        canary.champion = slot.current.version if slot.current is not None else None
        if canary.ended or served is None:
            self._end()

    def choose(self, request_id: str) -> Served | None:
        """The canary, for the requests that it is to answer."""
        return self.served if self.canary.takes(request_id) else None

    async def answer(
        self, request_id: str, served: Served, items: Payload
    ) -> Outputs | None:
        """The canary's outputs; None where the champion is to answer."""
        if served.waiting >= WAITING_LIMIT:
            self.canary.was_busy(request_id, items)
            return None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                outputs = await served.answer(items)
            self.canary.check(outputs)
        except TimeoutError:
            reason = f"no answer within {ANSWER_SECONDS:g} s"
        except HttpError as error:
            reason = served.failure or str(error)
        except Exception as error:  # whatever it is, the champion answers
            reason = f"{type(error).__name__}: {error}"
        else:
            return outputs
        self.canary.failed(request_id, items, reason)
        return None

    def replaced(self, slot: Slot) -> None:
        """Take note of another champion."""
        if slot is not self._slot or slot.current is None:
            return
        served = self.served
        if served is not None and not answers_same_requests(
            served.description, slot.current.description
        ):
            reason = f"{slot.current} takes other items, or has other answers"
            self.canary.end(reason, is_remembered=False)
        else:
            self.canary.champion_is(slot.current.version)

    def _end(self) -> None:
        self._slot.choose = None
        served, self.served = self.served, None
        if served is not None:
            served.retire()

    def close(self) -> None:
        """Close its engine, as the server ends."""
        if self.served is not None:
            self.served.close()
