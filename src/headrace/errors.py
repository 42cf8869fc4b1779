"""What can go wrong, drawn once. Every error says what was seen, and what to do.

::

    HeadraceError
    ├── UsageError            exit 2   the command, the spec or the configuration is off
    │   ├── SpecError                  a pipeline file or a --set
    │   └── NotFoundError              a pipeline, a data path, a model, a version
    ├── Refusal               exit 1   asked well, answered no; nothing was registered
    │   ├── SourceError                a data file that cannot be believed
    │   ├── ContractError              data that breaks its contract
    │   ├── IntegrityError             bytes that are not the ones recorded
    │   ├── InputError                 what a loaded model was called with
    │   └── PromotionError             no passing evidence, or another came first
    └── DependencyError       exit 3   disk, database, network or server; safe to retry
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from headrace.credentials import hide_credentials


class HeadraceError(Exception):
    """The base of all errors that a user is meant to read; none has a credential.

    Args:
        message: what was seen, and where (file, field, row, value).
        action: one thing to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, action: str = "") -> None:
        message, action = hide_credentials(message), hide_credentials(action)
        super().__init__(message, action)
        self.message = message
        self.action = action

    def __str__(self) -> str:
        return f"{self.message} {self.action}".strip()


class UsageError(HeadraceError):
    """The command line, the spec or the configuration is off."""

    exit_code = 2


class SpecError(UsageError):
    """A pipeline file or an override does not describe a pipeline."""


class NotFoundError(UsageError):
    """A named pipeline, path, model or version does not exist."""


class Refusal(HeadraceError):
    """The answer is no: data, contract, gate or integrity."""

    exit_code = 1


class SourceError(Refusal):
    """A data file is damaged, hostile, or not what it says it is."""


class ContractError(Refusal):
    """The data breaks the contract, beyond what quarantine may absorb."""


class IntegrityError(Refusal):
    """Stored bytes differ from the digest recorded for them."""


class InputError(Refusal):
    """A loaded model was called with something it must not guess about."""


class PromotionError(Refusal):
    """A promotion lacks evidence, or lost against another one."""


class DependencyError(HeadraceError):
    """Disk, database, network or a server failed; trying again is safe.

    Args:
        message, action: as above.
        was_retried: whoever raises it has tried again for as long as makes sense, so
            that nobody above does it once more.
    """

    exit_code = 3

    def __init__(
        self, message: str, action: str = "", *, was_retried: bool = False
    ) -> None:
        super().__init__(message, action)
        self.was_retried = was_retried


def did_you_mean(
    name: str,
    known: Iterable[str],
    otherwise: str,
    cutoff: float = 0.5,
    prefix: str = "",
) -> str:
    """The action for an unknown name: the nearest known one, else ``otherwise``.

    Args:
        cutoff: how much alike the two must be, from 0 to 1.
        prefix: of the suggested name, such as ``training.``.
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"Did you mean {prefix}{near[0]}?" if near else otherwise
