"""Asking a server over HTTP, and what the answer says besides."""

from __future__ import annotations

import email.utils
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from headrace.settings import Settings
from headrace.state.logins import login_of
from headrace_ops.doctor.check import Check
from headrace_ops.environment import is_loopback, mlflow_login

SECONDS = 2.0
CLOCK_SECONDS = 5.0


@dataclass(frozen=True)
class Said:
    """An answer; ``status`` 0: there was none, and ``text`` says why."""

    status: int
    text: str
    date: str = ""

    @property
    def json(self) -> Any:
        """What it holds, or None where that is not JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


def ask(url: str, headers: dict[str, str] | None = None, body: Any = None) -> Said:
    """GET, or POST of a JSON body; never raises for what a server does."""
    headers = {"Content-Type": "application/json", **(headers or {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            text = answer.read().decode(errors="replace")
            return Said(answer.status, text, answer.headers.get("Date", ""))
    except urllib.error.HTTPError as error:
        return Said(error.code, error.reason, error.headers.get("Date", ""))
    except urllib.error.URLError as error:
        return Said(0, str(error.reason))
    except (OSError, ValueError) as error:
        return Said(0, str(error) or type(error).__name__)


def mlflow_authorization(settings: Settings, url: str) -> dict[str, str]:
    """The header of MLflow's own variables, or of the home's login for its server."""
    login = mlflow_login()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    if login is None and token:
        return {"Authorization": f"Bearer {token}"}
    login = login or login_of(settings.home, url)
    return {"Authorization": login.header} if login else {}


def check_door(name: str, link: str, without_password: Said, fix: str) -> list[Check]:
    """Whether a server that others can reach lets everyone in."""
    host = urlsplit(link).hostname or ""
    if is_loopback(host) or without_password.status != 200:
        return []
    seen = f"{link} lets everyone in, without a password"
    return [Check(name=f"{name} access", state="wrong", seen=seen, fix=fix)]


def check_clock(name: str, date: str, now: float | None = None) -> list[Check]:
    """Whether a server's clock agrees with this one."""
    there = email.utils.parsedate_to_datetime(date) if date else None
    if there is None:
        return []
    return clock_check(name, there.timestamp(), now)


def clock_check(name: str, there: float, now: float | None = None) -> list[Check]:
    """The same for a time in seconds."""
    apart = there - (time.time() if now is None else now)
    if abs(apart) <= CLOCK_SECONDS:
        return []
    seen = f"its clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} "
    return [
        Check(
            name=f"{name} clock",
            state="wrong",
            seen=f"{seen}this machine's",
            fix="Set both by NTP: schedules and leases go by the clock.",
        )
    ]
