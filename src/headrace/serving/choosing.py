"""Which requests a version gets beside the champion, and whether it can answer them."""

from __future__ import annotations

import hashlib

from headrace.errors import UsageError
from headrace.records import DataDescription
from headrace.tasks import difference

_FULL = 2**64


def fraction_of(request_id: str, salt: bytes = b"") -> float:
    """A number in 0..1 that a request's id determines, uniform over ids.

    Args:
        salt: at most 16 bytes; numbers of two salts are independent.
    """
    digest = hashlib.blake2b(request_id.encode(), digest_size=8, salt=salt).digest()
    return int.from_bytes(digest, "big") / _FULL


def answers_same_requests(one: DataDescription, other: DataDescription) -> bool:
    """Whether two versions take the same items, and give answers of one kind."""
    return not difference(one, other)


def check_same_requests(
    name: str, description: DataDescription, answering: str, other: DataDescription
) -> None:
    """Refuse a version that cannot answer another's requests.

    Raises:
        UsageError: it takes other items, or has other classes.
    """
    field = difference(description, other)
    if not field:
        return
    if field in description.target or field in other.target:
        field = "target"
    raise UsageError(
        f"{name} cannot answer the requests of {answering}: its {field} is "
        f"{getattr(description, field)!r}, and not {getattr(other, field)!r}.",
        "Name a version that was trained on data of the same form.",
    )
