"""Remote file systems: options, connections, calls and retries.

Only `ask` retries. The retries of fsspec and its drivers are off, because nested
retries multiply. S3's keys and endpoint come from the environment:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL.

``HEADRACE_STORAGE_OPTIONS`` has further options of the file systems that sources are
read from: keys, headers, logins. It is a JSON object. Its keys are protocols (``s3``)
or URI prefixes (``https://data.example/``); its values are arguments of fsspec's file
systems. They are never written to disk.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from headrace.display.credentials import OPTIONS
from headrace.errors import DependencyError, HeadraceError, UsageError
from headrace.pipeline.checks import refuse_credential
from headrace.settings import Settings

LIMIT_SECONDS = 60.0
CONNECT_SECONDS = 5
READ_SECONDS = 15
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 8.0

_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}
_TRANSIENT_CODES = {  # beside those that the status tells
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "OperationAborted",
    "RequestTimeout",
    "Throttling",
    "XAmzContentSHA256Mismatch",
}
_UNREACHABLE = (ConnectionError, TimeoutError)
_DRIVERS = ("aiobotocore", "aiohttp", "botocore", "fsspec", "requests", "urllib3")
_NO_KEYS = {"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"}
_ACTION = (
    'Write it as {"https://data.example/": {"headers": {"Authorization": "..."}}}.'
)

_TABLE = TypeAdapter(dict[str, dict[str, Any]])

T = TypeVar("T")
log = logging.getLogger("headrace")


def local_path(uri: str) -> str | None:
    """The absolute path that a URI certainly is, as fsspec would make it; else None.

    For paths, so that most commands do without fsspec and what it imports.
    """
    has_protocol = ":" in uri.partition("/")[0] or "::" in uri or "://" in uri
    if has_protocol or os.sep != "/":
        return None
    path = os.path.expanduser(uri)
    if not path.startswith("/"):
        path = f"{os.getcwd()}/{'' if path == '.' else path.removeprefix('./')}"
    return path.rstrip("/") or "/"


def connect(
    uri: str, attempts: int, options: Mapping[str, Any] | None = None
) -> tuple[Any, str]:
    """The fsspec file system of a path or URI, and the path in it; no request is sent.

    Args:
        uri: of any protocol.
        attempts: how often S3's client sends a request; each has a timeout.
        options: arguments of the file system, such as keys and headers.

    Raises:
        UsageError: the URI holds a credential.
        ImportError: the protocol's package is not installed.
        ValueError: there is no such protocol.
    """
    import fsspec

    refuse_credential(uri, "The URI of the data or the store")
    arguments: dict[str, Any] = {"use_listings_cache": False} if "://" in uri else {}
    arguments |= options or {}
    if _is_s3(uri):
        limits = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"mode": "standard", "total_max_attempts": attempts},
            "max_pool_connections": 32,
            "connector_args": {"socket_factory": _new_socket},
        }
        # With more concurrency, each read requests the size first.
        arguments = {"max_concurrency": 1, **arguments}
        arguments["config_kwargs"] = {**limits, **arguments.get("config_kwargs", {})}
        arguments["session"] = _session(arguments.get("profile"))
    fs, path = fsspec.core.url_to_fs(uri, **arguments)
    if _is_s3(uri):
        fs.retries = 1
    return fs, str(path)


def file_system(uri: str) -> tuple[Any, str]:
    """`connect` for a file system whose calls go through `ask`.

    Raises:
        UsageError: no such protocol, or its package is not installed.
    """
    try:
        return connect(uri, attempts=1)
    except (ImportError, ValueError) as error:
        action = "Give a path, or a URI such as s3://bucket/folder."
        if _is_s3(uri):
            action = "Install headrace[s3]."
        raise UsageError(f"{uri} cannot be opened: {error}.", action) from None


def is_local(fs: Any) -> bool:
    """Whether an fsspec file system is that of this machine."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(fs, LocalFileSystem)


def ask(uri: str, call: Callable[[], T]) -> T:
    """Make a call, and retry it after transient errors, with exponential backoff.

    Args:
        uri: of the object, for messages.
        call: an idempotent call with a timeout.

    Raises:
        FileNotFoundError: there is nothing at the URI.
        FileExistsError: the call was to create an object that exists.
        UsageError: there is no such bucket, or the credentials are refused.
        DependencyError: no usable response within `LIMIT_SECONDS`.
    """
    until = time.monotonic() + LIMIT_SECONDS
    for attempt in itertools.count():
        try:
            return call()
        except HeadraceError:
            raise
        except Exception as error:  # each protocol has its own exceptions
            reason = _transient_reason(error)
            if not reason:
                raise _permanent_error(uri, error) from error
            pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
            pause *= random.uniform(0.5, 1)  # noqa: S311
            if time.monotonic() + pause > until:
                raise DependencyError(
                    f"{uri} cannot be reached: {reason}, {attempt + 1} times within "
                    f"{LIMIT_SECONDS:.0f} s.",
                    "Nothing is lost: run the same command again when it answers.",
                    was_retried=True,
                ) from error
            log.info("%s: %s; retrying", uri, reason)
            time.sleep(pause)
    raise AssertionError


def response_of(error: BaseException) -> tuple[str, int]:
    """The error code and HTTP status of a server's response; empty if there is none."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return str(response.get("Error", {}).get("Code", "")), int(status)
        cause = cause.__cause__
    return "", 0


def _transient_reason(error: Exception) -> str:
    """The reason of a transient error; empty if a retry cannot help."""
    code, status = response_of(error)
    if code or status:
        if code in _TRANSIENT_CODES or status in _TRANSIENT_STATUS:
            return f"it answered {status or ''} {code}".rstrip()
        return ""
    name = type(error).__name__
    if name in _NO_KEYS or name == "ParamValidationError":
        return ""
    of_driver = type(error).__module__.partition(".")[0] in _DRIVERS
    if isinstance(error, _UNREACHABLE) or of_driver:
        return "no answer in time" if "Timeout" in name else f"no answer ({name})"
    return ""


def _permanent_error(uri: str, error: Exception) -> Exception:
    """The error to raise where a retry cannot help."""
    code, status = response_of(error)
    name = type(error).__name__
    if code == "PreconditionFailed" or isinstance(error, FileExistsError):
        return FileExistsError(uri)
    if code in {"NoSuchBucket", "InvalidBucketName"} or name == "ParamValidationError":
        return _unusable(uri, f"There is no bucket {_bucket(uri)!r} ({uri}).")
    if isinstance(error, FileNotFoundError) or not (
        code or status or name in _NO_KEYS or isinstance(error, OSError | ValueError)
    ):
        return error
    if status in {401, 403} or name in _NO_KEYS or isinstance(error, PermissionError):
        action = "Check the credentials in the environment."
        if _is_s3(uri):
            action = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that may "
            action += "list, read, write and delete there."
        text = f"The bucket {_bucket(uri)!r} refuses access to {uri}: {code or name}."
        return UsageError(text, action)
    problem = f"the storage answered {status} {code}" if code or status else str(error)
    return _unusable(uri, f"{uri} cannot be used: {problem}.")


def _is_s3(uri: str) -> bool:
    return uri.startswith(("s3://", "s3a://"))


@functools.cache
def _session(profile: str | None) -> Any:
    """S3's session, which sends a body at once.

    By itself it waits until the server asks for the body, and that wait has no limit.
    """
    from aiobotocore.session import AioSession
    from botocore.handlers import add_expect_header

    session = AioSession(profile=profile)
    session.unregister("before-call.s3", add_expect_header)
    return session


def _new_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket that does not try for longer to send something.

    Where a link is cut, the kernel would try for a quarter of an hour, and S3's client
    has no limit for that.
    """
    family, kind, protocol, *_ = address
    opened = socket.socket(family, kind, protocol)
    if option := getattr(socket, "TCP_USER_TIMEOUT", 0):  # Linux
        opened.setsockopt(socket.IPPROTO_TCP, option, READ_SECONDS * 1000)
    return opened


def _bucket(uri: str) -> str:
    return uri.partition("://")[2].partition("/")[0]


def _unusable(uri: str, message: str) -> UsageError:
    variables = "HEADRACE_STORE" + " and AWS_ENDPOINT_URL" * _is_s3(uri)
    return UsageError(message, f"Create it, or correct {variables}.")


def storage_options(uri: str, settings: Settings) -> dict[str, Any]:
    """The options for a URI: those of its protocol, updated by those of its prefix.

    The longest matching prefix counts. A prefix ends at a delimiter, so
    ``https://data.example`` is not a prefix of ``https://data.example.org/``.

    Raises:
        UsageError: the setting is not a JSON object of objects. The message does not
            repeat its value.
    """
    try:
        text = settings.storage_options.get_secret_value().strip()
        table = _TABLE.validate_json(text or "{}")
    except ValidationError:  # which has the value
        message = f"{OPTIONS} is not a JSON object whose values are objects."
        raise UsageError(message, _ACTION) from None
    if "://" not in uri:
        return {}
    parts = uri.split("::")  # fsspec's URL chaining: options by protocol
    if len(parts) == 1:
        return _options(uri, table)
    by_protocol = {part.partition("://")[0]: _options(part, table) for part in parts}
    return {protocol: options for protocol, options in by_protocol.items() if options}


def _options(uri: str, table: dict[str, dict[str, Any]]) -> dict[str, Any]:
    prefixes = [key for key in table if "://" in key and _has_prefix(uri, key)]
    options = table[max(prefixes, key=len)] if prefixes else {}
    return {**table.get(uri.partition("://")[0], {}), **options}


def _has_prefix(uri: str, key: str) -> bool:
    rest = uri.removeprefix(key)
    return uri.startswith(key) and (key.endswith("/") or rest[:1] in ("", *"/?#"))
