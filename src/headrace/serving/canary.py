"""The canary: a version that answers a share of the requests, until something is wrong.

The hash of a request's id decides which version answers. What the canary does not
answer, the champion does. After some failures, or if the canary's answers differ from
the champion's by more than a margin, it gets no more requests. That is remembered in
the home: it does not start again by itself.
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headrace.errors import UsageError
from headrace.home import make_private
from headrace.media.forms import Payload
from headrace.serving.answered import Answered
from headrace.serving.choosing import fraction_of
from headrace.serving.comparing import is_shown
from headrace.serving.tally import Tally, countable
from headrace.state.disk import atomic_file
from headrace.state.ledger import Ledger
from headrace.state.ledger.rows import Version
from headrace.tasks.forms import Outputs

MOST_FAILURES = 5
LEVEL = 0.01  # the chance that a canary as good as the champion is ever ended
MARGIN = 0.05  # by which the share of an answer may differ
REVIEW_EVERY = 100  # requests
_RECENT = 65_536  # requests and items: one that comes again is not compared again
_FORM = re.compile(r"(?:(?P<name>[^:%]+):)?(?P<percent>\d+(?:\.\d+)?)%")
_ASK = "Give for example --canary 5% or --canary digits/3:5%."
log = logging.getLogger("headrace")


class CanaryWanted(NamedTuple):
    """What ``--canary`` asks for.

    Attributes:
        share: of the requests, 0..1.
        name: ``MODEL`` or ``MODEL/VERSION``; empty: a version of each model.
    """

    share: float
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> CanaryWanted:
        """``5%``, ``MODEL:5%`` or ``MODEL/VERSION:5%``.

        Raises:
            UsageError: it is anything else, or no share between 0 and 100 %.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"--canary {text!r} is no share of requests.", _ASK)
        share = float(match["percent"]) / 100
        if not 0 < share < 1:
            raise UsageError(
                f"--canary {text!r} is not between 0% and 100%, both excluded.", _ASK
            )
        return cls(share, match["name"] or "")

    def find(self, current: Mapping[str, int], ledger: Ledger) -> list[Version]:
        """The canary of each model that is to have one.

        Where no version is named, it is the newest one after the one that answers of
        those that were judged by the pipeline's own law, failed no gate except perhaps
        the comparison, and were not rolled back.

        Args:
            current: the version that answers, of each model that is served.
            ledger: has the versions.

        Raises:
            UsageError: there is none, or the model is not served.
            NotFoundError: there is no such version.
        """
        model, slash, _ = self.name.partition("/")
        if model and model not in current:
            raise UsageError(
                f"--canary names {model!r}; served are {', '.join(current)}.",
                "Serve the model, too.",
            )
        if slash:
            row = ledger.find(self.name)
            if row.version == current[model]:
                raise UsageError(
                    f"Version {row.version} of {model} answers already.",
                    "Name another version.",
                )
            return [row]
        chosen = [model] if model else list(current)
        canaries, unfit = [], dict[str, str]()
        for one in chosen:
            newer = [v for v in ledger.versions(one) if v.version > current[one]]
            unfit |= {f"{one}/{v.version}": _why_not(v, ledger) for v in newer}
            fit = [v for v in newer if not unfit[f"{one}/{v.version}"]]
            canaries += fit[-1:]
        if not canaries:
            versions = ", ".join(f"{one}/{current[one]}" for one in chosen)
            because = "; ".join(f"{name} {why}" for name, why in unfit.items())
            problem = f"There is no newer version than {versions}."
            if because:
                problem = f"No version after {versions} can be a canary: {because}."
            raise UsageError(
                problem,
                "Train one, or name a version: --canary MODEL/VERSION:5%.",
            )
        return canaries


def _why_not(row: Version, ledger: Ledger) -> str:
    """Why a version is no canary unless it is named; empty if it may be one."""
    own = ledger.evidence_of(row.model, row.version)
    judged = [evidence for evidence in own if not evidence.experiment]
    if not judged:
        return "is an experiment" if own else "was not judged"
    if not judged[-1].is_sound:
        failed = [gate.name for gate in judged[-1].gates if not gate.passed]
        return f"failed {', '.join(failed)}"
    if ledger.was_rolled_back(row.model, row.version):
        return "was rolled back"
    return ""


class Canary:
    """Chooses what answers, and watches it; see the module.

    It is called in the event loop only. It is an `Observer` too.

    Args:
        model, version: of the canary.
        share: of the requests.
        home: where it is remembered that it was ended.
        margin, level: see `MARGIN` and `LEVEL`.

    Attributes:
        ended: why it gets no more requests; empty while it gets them.
        champion: the version that it is compared with; None: not known yet.
        answered, failures, busy: requests that it has answered, that it could not
            answer, and that it had no time for.
    """

    def __init__(
        self,
        model: str,
        version: int,
        share: float,
        home: Path,
        *,
        margin: float = MARGIN,
        level: float = LEVEL,
    ) -> None:
        self.model, self.version, self.share = model, version, share
        self.champion: int | None = None
        self.answered = self.failures = self.busy = 0
        self._marker = home.absolute() / "canaries" / f"{model}-{version}.json"
        self._salt = f"{version}"[-16:].encode()
        self._tally = Tally(share, margin)
        self._level = level
        self._pending: dict[str, bool] = {}
        self._recent: dict[float, None] = {}
        self._items: dict[int, None] = {}
        self._since_review = 0
        self.on_end: Callable[[], object] = lambda: None
        self._is_past = False  # it is the champion, or one after it is
        self.ended = _ending(self._marker)
        if self.ended:
            log.warning(
                "the canary %s gets no requests: %s; delete %s to start it again",
                *(self, self.ended, self._marker),
            )

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"

    def takes(self, request_id: str) -> bool:
        """Whether the canary is to answer a request."""
        if self.ended:
            return False
        fraction = fraction_of(request_id, self._salt)
        is_canary = fraction < self.share
        if fraction not in self._recent:
            self._recent[fraction] = None
            self._pending[request_id] = is_canary
            if len(self._recent) > _RECENT:
                del self._recent[next(iter(self._recent))]
                if len(self._pending) > _RECENT:  # requests that were refused
                    del self._pending[next(iter(self._pending))]
        return is_canary

    def check(self, outputs: Outputs) -> None:
        """Raise FloatingPointError where an answer of the canary is not finite."""
        if not np.isfinite(outputs).all():
            raise FloatingPointError(f"an answer of {self} is not finite")

    def failed(self, request_id: str, items: Payload, reason: str) -> None:
        """Take note of a request that the canary could not answer."""
        self.failures += 1
        log.warning("the canary %s has not answered a request: %s", self, reason)
        self._not_answered(request_id, items)
        if self.failures >= MOST_FAILURES:
            self.end(f"it failed {self.failures} times; the last time, {reason}")

    def was_busy(self, request_id: str, items: Payload) -> None:
        """Take note of a request that the canary had no time for."""
        self.busy += 1
        self._not_answered(request_id, items)

    def _not_answered(self, request_id: str, items: Payload) -> None:
        """Count it as an answer of the canary that the champion does not give."""
        if self._pending.pop(request_id, None) and self._is_new(items):
            self._tally.add_failure()

    def _is_new(self, items: Payload) -> bool:
        """Whether the first item of a request was not asked lately.

        A probe that sends one item all the time shows nothing about others.
        """
        first = items[0]
        key = hash(first if isinstance(first, str) else first.tobytes())
        if key in self._items:
            return False
        self._items[key] = None
        if len(self._items) > _RECENT:
            del self._items[next(iter(self._items))]
        return True

    def __call__(self, answered: Answered) -> None:
        """Count an answer of the canary or of the champion."""
        if answered.model != self.model:
            return
        is_canary = answered.role == "canary"
        self.answered += is_canary
        chosen = self._pending.pop(answered.request_id, None)
        if self.ended or chosen is None or chosen is not is_canary:
            return
        if not self._is_new(answered.items):
            return
        answer = countable(answered.outputs, answered.description)
        if self._tally.add(answer, answered.latency_ms, is_canary=is_canary):
            self._since_review += 1
            if self._since_review >= REVIEW_EVERY:
                self.review()

    def review(self) -> None:
        """End the canary if its answers differ from the champion's."""
        self._since_review = 0
        if not self.ended and is_shown(self._tally.log_evidence(), self._level):
            self.end(f"its answers differ: {self._tally.in_words()}")

    def champion_is(self, version: int) -> None:
        """Take note of the champion's version; it may be another one now."""
        if version == self.version:
            reason = "it is the champion"
        elif version > self.version:
            reason = f"version {version} is the champion"
        else:
            reason = ""
        if reason:
            self._is_past = True
            self.end(reason, is_remembered=False)
        elif version != self.champion:  # else each new engine would be another test
            self.champion = version
            self._tally = Tally(self.share, self._tally.margin)

    def end(self, reason: str, *, is_remembered: bool = True) -> None:
        """Give it no more requests.

        Args:
            reason: in words.
            is_remembered: whether it stays ended when a server starts.
        """
        if self.ended:
            return
        self.ended = reason
        self._pending.clear()
        self._recent.clear()
        self._items.clear()
        log.warning("the canary %s gets no more requests: %s", self, reason)
        if is_remembered:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            text = json.dumps({"reason": reason, "when": now})
            threading.Thread(target=_remember, args=(self._marker, text)).start()
        self.on_end()

    @property
    def log_evidence(self) -> float:
        """The logarithm of the evidence that its answers differ."""
        return self._tally.log_evidence()

    @property
    def threshold(self) -> float:
        """Of `log_evidence`, at which it is ended."""
        return math.log(1 / self._level)

    def status(self) -> dict[str, object]:
        """What `/models` says of it; empty once it or a later version is promoted."""
        if self._is_past:
            return {}
        now = {"ended": self.ended} if self.ended else {"share": self.share}
        return {"version": self.version, **now}


def _remember(marker: Path, text: str) -> None:
    try:
        make_private(marker.parent)
        with atomic_file(marker) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        log.warning("the end of a canary cannot be written to %s: %s", marker, error)


def _ending(marker: Path) -> str:
    """Why a canary was ended before; empty if it was not."""
    try:
        ending = json.loads(marker.read_text(encoding="utf-8"))
        reason, when = str(ending["reason"]), str(ending["when"])
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        reason, when = "the reason cannot be read", "an unknown time"
    return f"{reason} (ended at {when})"
