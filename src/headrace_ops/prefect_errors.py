"""What Prefect's client raises, in the words of `headrace.errors`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from headrace.errors import DependencyError, UsageError
from headrace.settings import variable
from headrace.state.store import full_disk, is_full

_NOT_LET_IN = (401, 403)


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Have a block that asks the server of PREFECT_API_URL raise our errors.

    Raises:
        UsageError: the login is missing or wrong, or it refuses what is asked for.
        DependencyError: it does not answer, or fails.
    """
    import httpx

    url = variable("PREFECT_API_URL")
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in _NOT_LET_IN:
            raise UsageError(
                f"The Prefect server {url} answers {status}: PREFECT_API_AUTH_STRING "
                "is not its login.",
                "Set it to the server's user:password.",
            ) from error
        folder = variable("PREFECT_HOME")
        if status >= 500 and folder and is_full(folder):
            raise full_disk(f"Prefect's database in {folder}", folder) from error
        kind = UsageError if status < 500 else DependencyError
        raise kind(
            f"The Prefect server {url} answers {status}: {error.response.text[:500]}",
            "See what it says, and run it again.",
        ) from error
    except httpx.HTTPError as error:
        raise DependencyError(
            f"The Prefect server {url} does not answer: {error}.",
            "Start it with `headrace up`, or set PREFECT_API_URL.",
        ) from error
