"""The login of a home, required by the servers that ``headrace up`` starts.

It is a random password in a file that only its owner can read. Everyone who can read
the file shares the login, so it does not identify a person.
"""

from __future__ import annotations

import base64
import dataclasses
import fcntl
import hashlib
import hmac
import json
import secrets
import stat
from pathlib import Path
from urllib.parse import urlsplit

from headrace.errors import UsageError
from headrace.settings.home import make_private_file
from headrace.state.disk import atomic_file

LOGIN_FILE = "login.json"
LIVE_FILE = "up.json"
LOCK_FILE = "up.lock"
OWN = "own"  # in LIVE_FILE: the names of the servers that were started, not configured
USER = "headrace"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password; ``repr`` shows neither."""

    user: str = dataclasses.field(repr=False)
    password: str = dataclasses.field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Login:
        """The login from ``user:password``."""
        user, _, password = text.partition(":")
        return cls(user, password)

    @property
    def text(self) -> str:
        """``user:password``, as Prefect's variables expect it."""
        return f"{self.user}:{self.password}"

    @property
    def header(self) -> str:
        """The value of the ``Authorization`` header."""
        return "Basic " + base64.b64encode(self.text.encode()).decode()

    def derive(self, purpose: str) -> str:
        """A secret derived from the login, which does not reveal it."""
        key, message = self.text.encode(), f"headrace {purpose}".encode()
        return hmac.new(key, message, hashlib.sha256).hexdigest()

    def link(self, server: str, page: str = "/") -> str:
        """A link that logs in to a server and opens a page."""
        target = "" if page == "/" else f"&next={page}"
        return f"{server}/login?token={self.derive('link')}{target}"


def new_login() -> Login:
    """A new login with a random password."""
    return Login(USER, secrets.token_urlsafe(32))


def ensure_login(home: Path) -> Login:
    """The login of a home; replaced if it is missing or others could read it.

    Raises:
        UsageError: the file cannot be read.
    """
    path = home / LOGIN_FILE
    with (home / f"{LOGIN_FILE}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        present = read_login(home)
        if present is not None and not path.stat().st_mode & _OTHERS:
            return present
        login = new_login()
        text = json.dumps(dataclasses.asdict(login))
        with atomic_file(path) as temporary:
            make_private_file(temporary)
            temporary.write_text(text + "\n", encoding="utf-8")
        return login


def read_login(home: Path) -> Login | None:
    """The login of a home, or None where it has none.

    Raises:
        UsageError: the file cannot be read.
    """
    path = home / LOGIN_FILE
    try:
        login = json.loads(path.read_text(encoding="utf-8"))
        return Login(str(login["user"]), str(login["password"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(
            f"The login in {path} cannot be read.",
            "Delete the file; `headrace up` creates another.",
        ) from None


def live_servers(home: Path) -> dict[str, str]:
    """The addresses of the servers of ``headrace up``; empty when none is running.

    After a crash the file is stale, and another program may use the ports. So the file
    counts only while ``headrace up`` holds its lock.
    """
    if not _is_locked(home / LOCK_FILE):
        return {}
    try:
        links = json.loads((home / LIVE_FILE).read_text(encoding="utf-8"))
        return {str(name): str(value) for name, value in links.items()}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}


def login_of(home: Path, url: str) -> Login | None:
    """The login for a server that ``headrace up`` started for the home.

    It is None for any other server, so that the password is never sent elsewhere.
    """
    servers = live_servers(home)
    own = [servers.get(name, "") for name in servers.get(OWN, "").split()]
    origins = [urlsplit(server)[:2] for server in own if server]
    return read_login(home) if urlsplit(url)[:2] in origins else None


def _is_locked(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False
