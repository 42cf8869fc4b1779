"""Translates errors of Prefect's client into Headrace's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from headrace.errors import DependencyError, UsageError
from headrace.settings import variable
from headrace.state.disk import full_disk, is_full


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Translate the client's errors in a block that talks to PREFECT_API_URL.

    Raises:
        UsageError: the login is missing or wrong, or the server refuses the request.
        DependencyError: the server does not answer, or fails.
    """
    import httpx

    url = variable("PREFECT_API_URL")
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise UsageError(
                f"The Prefect server {url} answers {status}: it does not accept the "
                "login in PREFECT_API_AUTH_STRING.",
                "Set PREFECT_API_AUTH_STRING to the server's user:password.",
            ) from error
        folder = variable("PREFECT_HOME")
        if status >= 500 and folder and is_full(folder):
            raise full_disk(f"Prefect's database in {folder}", folder) from error
        kind = UsageError if status < 500 else DependencyError
        raise kind(
            f"The Prefect server {url} answers {status}: {error.response.text[:500]}",
            "Correct what the server reports, and run the command again.",
        ) from error
    except httpx.HTTPError as error:
        cause = str(error).rstrip(".")
        raise DependencyError(
            f"The Prefect server {url} does not answer: {cause}.",
            "Start it with `headrace up`, or set PREFECT_API_URL.",
        ) from error
