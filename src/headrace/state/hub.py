"""The Hugging Face Hub: the only door to it. Nothing reports home.

The token is that of the environment, ``HF_TOKEN``; one that another program has saved
on this machine is not used. ``HF_ENDPOINT`` names another server of the Hub's API.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from headrace.errors import DependencyError, HeadraceError, NotFoundError, UsageError
from headrace.pipeline.checks import refuse_credential
from headrace.settings import variable

EXTRA = "pip install 'headrace[hub]'"
SCHEME = "hf://"
SECONDS = 30
_DATASET = re.compile(
    r"hf://datasets/(?P<name>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?(?P<path>(/.*)?)"
)
_COMMIT = re.compile("[0-9a-f]{40}")
_REFUSED = {401, 403, 404}  # there is none, or not for everybody


def token() -> str:
    """The token of the environment; empty if there is none."""
    return variable("HF_TOKEN")


def options() -> dict[str, Any]:
    """What the Hub's client and its file system are given."""
    return {"token": token() or False, "endpoint": variable("HF_ENDPOINT") or None}


def client(uri: str) -> Any:
    """The Hub's client.

    Args:
        uri: what it is for.

    Raises:
        UsageError: the extra ``hub`` is not installed.
    """
    _check_installed(uri)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import huggingface_hub

    return huggingface_hub.HfApi(**options())


def _check_installed(uri: str) -> None:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UsageError(
            f"{uri} needs huggingface_hub, which is not installed.",
            f"Install Headrace's extra: {EXTRA}.",
        )


@contextlib.contextmanager
def translated(uri: str, done: str, otherwise: str = "") -> Iterator[None]:
    """Raise what the libraries of a hub raise as errors of Headrace.

    Args:
        uri: of the repository.
        done: what cannot be done, such as ``read``.
        otherwise: what else the user can do.
    """
    try:
        yield
    except HeadraceError:
        raise
    except Exception as error:  # of any of the libraries below them
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[0] if text else ''}"[:200].rstrip(". ")
        status = getattr(getattr(error, "response", None), "status_code", None)
        message = f"{uri} cannot be {done}: {reason}."
        if status not in _REFUSED and type(error).__name__ != "HFValidationError":
            action = f"Check the network, and run it again{otherwise}."
            raise DependencyError(message, action) from error
        action = f"Check the name; if it is not public, set HF_TOKEN{otherwise}."
        kind = NotFoundError if status == 404 else UsageError
        raise kind(message, action) from error


def pinned(uri: str) -> str:
    """A data set's URI with the commit that its revision names now.

    Args:
        uri: of any kind; one that is not of the Hub stays as it is.

    Raises:
        UsageError: it names no data set, there is none, it may not be read, or the
            extra ``hub`` is not installed.
        DependencyError: the Hub does not answer.
    """
    if not uri.startswith(SCHEME):
        return uri
    refuse_credential(uri, "The URI of the data")
    form = _DATASET.fullmatch(uri)
    if form is None:
        raise UsageError(
            f"{uri} is no data set of Hugging Face.",
            "Write hf://datasets/OWNER/NAME; @REVISION and /PATH may follow.",
        )
    _check_installed(uri)
    commit = unquote(form["revision"] or "main")
    if not _COMMIT.fullmatch(commit):
        api = client(uri)
        with translated(uri, "read"):
            commit = api.dataset_info(
                form["name"], revision=commit, timeout=SECONDS, expand=["sha"]
            ).sha
    return f"{SCHEME}datasets/{form['name']}@{commit}{form['path']}"


def write(
    uri: str, contents: Mapping[str, Path | bytes], message: str
) -> tuple[str, str, bool]:
    """Put files into a repository of models, in one commit.

    One that does not exist is made, as a private one. Other files that it has stay.

    Args:
        uri: ``hf://OWNER/NAME``.
        contents: files or bytes, by their names there.
        message: of the commit.

    Returns:
        the address of the repository, the commit, and whether it is private.

    Raises:
        UsageError: it may not be written.
        DependencyError: the Hub does not answer.
    """
    api, name = client(uri), uri.removeprefix(SCHEME)
    from huggingface_hub import CommitOperationAdd

    files = [CommitOperationAdd(there, what) for there, what in contents.items()]
    with translated(uri, "written"):
        api.create_repo(name, private=True, exist_ok=True)
        commit = str(api.create_commit(name, files, commit_message=message).oid)
        is_private = bool(api.model_info(name, timeout=SECONDS).private)
    return f"{api.endpoint.rstrip('/')}/{name}", commit, is_private
