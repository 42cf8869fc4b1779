"""Whether what is configured for signatures can be used, before anything is done."""

from __future__ import annotations

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.signing.keys import (
    SigningKey,
    TrustedKeys,
    signing_key,
    trusted_keys,
)
from headrace.state.signing.statements import EXTRA, can_sign


def check_keys(
    settings: Settings, *, is_wanted: bool = False
) -> tuple[SigningKey | None, TrustedKeys]:
    """The keys of the settings, if they and the library for models can be used.

    Args:
        settings: with the keys.
        is_wanted: whether there must be a key, by ``promotion.signed``.

    Raises:
        UsageError: they cannot be used.
    """
    key = signing_key(settings)
    if key is not None and not can_sign():
        raise UsageError(
            "A signing key is set, but models cannot be signed: the package "
            "model-signing is not installed.",
            f"Install it: {EXTRA}.",
        )
    trusted = trusted_keys(settings)
    if is_wanted and not trusted:
        raise UsageError(
            "promotion.signed is true, but no key is set.",
            "Set HEADRACE_SIGNING_KEY_FILE, so that versions are signed; or "
            "HEADRACE_VERIFY_KEY_FILE, where others sign them.",
        )
    return key, trusted
