"""Credentials in URLs: finding them, and redacting them in messages.

A source is recorded in MLflow, the model card, Prefect's database and the store, so it
must not contain a credential. This module knows neither settings nor network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

HIDDEN = "***"
OPTIONS = "HEADRACE_STORAGE_OPTIONS"

_BUCKETS = ("s3", "s3a", "gs", "gcs", "r2", "oss", "cos")
# In these schemes a user name may be a key or a token; otherwise it is an account.
_NAME_IS_SECRET = ("https", "http", *_BUCKETS)

# A parameter with one of these in its name, or with one of the names below as a whole.
_SECRET_PARTS = (
    *("token", "secret", "passw", "signature", "credential", "authorization"),
    *("apikey", "accesskey", "privatekey", "accountkey", "sharedkey", "accessid"),
    *("sessionid", "subscriptionkey", "functionskey", "consumerkey", "masterkey"),
    *("licensekey", "licencekey", "storagekey", "authkey", "appkey"),
    *("passphrase", "passcode", "hmac", "sshkey", "saml", "assertion"),
)
_SECRET_NAMES = (
    *("code", "sig", "sign", "sas", "key", "pwd", "pw", "psw", "pswd", "pass", "auth"),
    *("jwt", "bearer", "session", "sid", "otp", "totp", "pin", "pat", "cookie"),
    *("ticket", "creds", "hdnts", "hdnea", "hdntl"),
)
# So is a parameter whose last part is one of these, unless it is one of the others.
_SECRET_LAST = ("key", "pass", "pw", "pwd")
_PLAIN_NAMES = (
    *("sort_key", "primary_key", "foreign_key", "partition_key"),
    *("low_pass", "high_pass", "band_pass"),
)
_MOST_ENCODED = 5  # times that a URL is percent-encoded
_WORD = re.compile(r"[^\s\"<>`]+")


def _any_case(word: str) -> str:
    """A pattern of a word in any case, as schemas have no flags."""
    letters = (f"[{c}{c.upper()}]" if c.isalpha() else c for c in word)
    return "[-_.]?".join(letters) if len(word) > 5 else "".join(letters)


def _any_of(words: tuple[str, ...]) -> str:
    return "|".join(map(_any_case, words))


_PART = _any_of(_SECRET_PARTS).replace(  # a token, and no tokenizer
    _any_case("token"), f"{_any_case('token')}(?![iI][sSzZ][eE])"
)
_PLAIN = "|".join("[-_.]".join(map(_any_case, n.split("_"))) for n in _PLAIN_NAMES)
_SECRET_NAME = (
    rf"(?:[^=&;#?]*(?:{_PART})[^=&;#?]*|(?:{_any_of(_SECRET_NAMES)})"
    rf"|(?!(?:{_PLAIN})=)[^=&;#?]*[-_.](?:{_any_of(_SECRET_LAST)}))="
)
# A password may contain any character, including / and ?. So a colon before the first /
# starts a password unless a port number follows.
_PASSWORD = r"://(?!arn:)[^/@?#:\[\]]*:(?![0-9]+[/?#])"  # noqa: S105
_NAMED = rf"(?:{_any_of(_NAME_IS_SECRET)})://"
_FOUND = (
    # In the first two schemes `a:b@c` is an owner, a repository and a revision.
    re.compile(rf"(?<!github)(?<!git)({_PASSWORD})(?!\*\*\*@)[^@]*(?=@)"),
    re.compile(rf"({_NAMED})(?![^/?#@]*\*\*\*@)[^/?#@]*(?=@)"),
    re.compile(rf"([?&;#](?P<name>{_SECRET_NAME}))(?!\*\*\*)[^&;#]+"),
)
_BEGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://")


def fingerprint(secret: bytes) -> str:
    """A name for a secret that does not reveal it, 16 hexadecimal digits."""
    import hmac

    return hmac.digest(secret, b"fingerprint", "sha256").hex()[:16]


def find_credential(source: str) -> str:
    """The kind of credential in a URL, for messages; empty if there is none.

    A path, a URI without a login, and names such as ``keras:mnist`` have none. A secret
    in the path of a URL is not detected.
    """
    for found in _credentials(source):
        name = found.groupdict().get("name")
        return f"the parameter {name[:-1]}" if name else "a login before the @"
    return ""


def hide_credentials(text: str) -> str:
    """A text with the passwords, tokens and signatures of its URLs redacted.

    A word in which `find_credential` still finds one, as it is encoded, is redacted as
    a whole.
    """
    if "://" not in text and "%" not in text:
        return text
    return _WORD.sub(lambda word: _redacted(word[0]), text)


def _redacted(word: str) -> str:
    for pattern in _FOUND:
        word = pattern.sub(rf"\1{HIDDEN}", word)
    return HIDDEN if "%" in word and find_credential(word) else word


def credential_advice(source: str) -> str:
    """The action of a message: where to put the credential of a source."""
    found = next(_credentials(source))
    is_login, text = "name" not in found.re.groupindex, found.string
    begin = [*_BEGIN.finditer(text[: found.end()])][-1]
    rest = text[found.end() + 1 if is_login else begin.end() :]
    scheme, host = begin[1].lower(), re.split("[/?#]", rest, maxsplit=1)[0]
    if scheme in _BUCKETS:
        return (
            "Take it out, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
            f'AWS_PROFILE, or {OPTIONS}=\'{{"{scheme}://{host}/": {{"key": "...", '
            '"secret": "..."}}\'.'
        )
    if scheme in _NAME_IS_SECRET and not is_login:
        return (
            f'Take it out, and set {OPTIONS}=\'{{"{scheme}://{host}/": {{"params": '
            '{"NAME": "..."}}}\'. Of a presigned URL, name the object itself with keys '
            "in the environment (s3://BUCKET/KEY), or download it and give the file."
        )
    how = '"headers": {"Authorization": "..."}'
    if scheme not in _NAME_IS_SECRET:
        how = '"username": "...", "password": "..."'
    return f"Take it out, and set {OPTIONS}='{{\"{scheme}://{host}/\": {{{how}}}}}'."


def schema_pattern() -> str:
    """An approximation of `find_credential` as a pattern of a JSON schema.

    Prefect's server and its form validate a flow's parameters by it before they store
    anything.
    """
    return (
        rf"^(?![\s\S]*{_NAMED}[^/?#]*@)"
        rf"(?!(?!\s*git(hub)?://)[\s\S]*{_PASSWORD}[^@]*@)"
        rf"(?![\s\S]*://[\s\S]*[?&;#]{_SECRET_NAME}[^&;#])"
    )


def _credentials(source: str) -> Iterator[re.Match[str]]:
    """Each credential in a source, also where it is percent-encoded."""
    for _ in range(_MOST_ENCODED + 1):
        for pattern in _FOUND:
            yield from pattern.finditer(source)
        before, source = source, unquote(source)
        if source == before:
            return
