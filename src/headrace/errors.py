"""The exception hierarchy. Every error states what happened and what to do.

::

    HeadraceError
    ├── UsageError            exit 2   invalid command, spec or configuration
    │   ├── SpecError                  invalid pipeline file or --set
    │   └── NotFoundError              no such pipeline, data path, model or version
    ├── Refusal               exit 1   a valid request is refused; nothing is registered
    │   ├── SourceError                damaged or hostile data file
    │   │   └── LimitError             data over a limit of the settings
    │   ├── ContractError              data that violates its contract
    │   ├── IntegrityError             bytes that differ from their recorded digest
    │   ├── InputError                 invalid input of a loaded model
    │   └── PromotionError             no passing evidence, or another promotion first
    └── DependencyError       exit 3   disk, database, network or server; safe to retry
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from headrace.display.credentials import hide_credentials


class HeadraceError(Exception):
    """The base of all errors for users; credentials in messages are redacted.

    Args:
        message: what happened, and where (file, field, row, value).
        action: what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, action: str = "") -> None:
        message, action = hide_credentials(message), hide_credentials(action)
        super().__init__(message, action)
        self.message = message
        self.action = action

    def __str__(self) -> str:
        between = "\n" if "\n" in self.message else " "  # lines may be of a list
        return f"{self.message}{between}{self.action}".strip()


class UsageError(HeadraceError):
    """The command line, the spec or the configuration is invalid."""

    exit_code = 2


class SpecError(UsageError):
    """A pipeline file or an override is invalid."""


class NotFoundError(UsageError):
    """A named pipeline, path, model or version does not exist."""


class Refusal(HeadraceError):
    """A valid request is refused for its data, contract, gates or integrity."""


class SourceError(Refusal):
    """A data file is damaged, hostile, or not of the format that it claims."""


class LimitError(SourceError):
    """A data file is over a limit of the settings, whatever its format.

    It refuses its source as a whole: otherwise the limit would choose the rows.
    """


class ContractError(Refusal):
    """The data violates the contract in more rows than may be quarantined."""


class IntegrityError(Refusal):
    """Stored bytes differ from the digest recorded for them."""


class InputError(Refusal):
    """A loaded model was called with invalid or ambiguous input."""


class PromotionError(Refusal):
    """A promotion lacks passing evidence, or another promotion came first."""


class DependencyError(HeadraceError):
    """Disk, database, network or a server failed; a retry is safe.

    Args:
        message, action: as above.
        was_retried: whether the failed call was retried already, so that callers must
            not retry it.
    """

    exit_code = 3

    def __init__(
        self, message: str, action: str = "", *, was_retried: bool = False
    ) -> None:
        super().__init__(message, action)
        self.was_retried = was_retried


def did_you_mean(
    name: str, names: Iterable[str], default: str, cutoff: float = 0.5, prefix: str = ""
) -> str:
    """The action for an unknown name: the nearest of the names, else ``default``.

    Args:
        cutoff: the required similarity, from 0 to 1.
        prefix: of the suggested name, such as ``training.``.
    """
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f"Did you mean {prefix}{near[0]}?" if near else default
