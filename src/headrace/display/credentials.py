"""Credentials in URLs: finding them, and redacting them in messages.

A source is recorded in MLflow, the model card, Prefect's database and the store, so it
must not contain a credential. This module knows neither settings nor network.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from urllib.parse import unquote

HIDDEN = "***"
OPTIONS = "HEADRACE_STORAGE_OPTIONS"

# In these schemes `a:b@c` is an owner, a repository and a revision.
_REPOSITORIES = {"github", "git"}
_BUCKETS = {"s3", "s3a", "gs", "gcs", "r2", "oss", "cos"}
# In these schemes a user name may be a key or a token; otherwise it is an account.
_NAME_IS_SECRET = {"http", "https", *_BUCKETS}

# A parameter with one of these in its name, or with one of the names below as a whole.
_SECRET_PARTS = (
    *("token", "secret", "passw", "signature", "credential", "authorization"),
    *("apikey", "accesskey", "privatekey", "accountkey", "sharedkey", "accessid"),
    *("sessionid", "subscriptionkey", "functionskey", "consumerkey", "masterkey"),
    *("licensekey", "licencekey", "storagekey", "authkey", "appkey"),
    *("passphrase", "passcode", "hmac", "sshkey", "saml", "assertion"),
)
_SECRET_NAMES = {
    *("code", "sig", "sign", "sas", "key", "pwd", "pw", "psw", "pswd", "pass", "auth"),
    *("jwt", "bearer", "session", "sid", "otp", "totp", "pin", "pat", "cookie"),
    *("ticket", "creds", "hdnts", "hdnea", "hdntl"),
}
# So is a parameter whose last part is one of these, unless it is one of the others.
_SECRET_LAST = ("key", "pass", "pw", "pwd")
_PLAIN_NAMES = (
    *("sort_key", "primary_key", "foreign_key", "partition_key"),
    *("low_pass", "high_pass", "band_pass"),
)
_TOKENIZER = "token(?!i[sz]e)"  # a token, and no tokenizer

_MOST_NESTED = 20  # URLs in one URL; each is redacted in turn
_MOST_ENCODED = 5  # times that a part of a URL is percent-encoded
_SCHEME = "[A-Za-z][A-Za-z0-9+.-]{0,30}"
_BEGIN = re.compile(f"(?P<scheme>{_SCHEME})://")
_AUTHORITY = re.compile(rf"{_BEGIN.pattern}(?=(?P<authority>[^/?#]*))")
_WORD = re.compile(r"[^\s'\"<>`]+")
_QUOTED = re.compile(
    rf"(?<='){_SCHEME}://[^'\n]+(?=')|(?<=\"){_SCHEME}://[^\"\n]+(?=\")"
)
_URL = re.compile(rf"{_BEGIN.pattern}{_WORD.pattern}")
_FIRST = re.compile(rf"\A\s*(?:\S*::)?{_BEGIN.pattern}[^\n]+")
_CHAINED = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.-]*(?:://|::|$))")  # by fsspec
_LOGIN = re.compile(r"(?P<name>[^/@\s:]*)(?P<password>:.*)?@", re.DOTALL)
_NAME = re.compile(r"[?&;#](?P<name>[^=&;#?]*)=(?=[^&;#])")
_FIELD = re.compile(r"(?P<mark>[?&;#])(?P<name>[^=&;#?]*)=(?P<value>[^&;#]+)")
_IN_QUOTES = re.compile(
    r"(?P<mark>[?&;#])(?P<name>[^=&;#?\s'\"]*)="
    r"(?P<value>'[^'\n]+(?:'|$)|\"[^\"\n]+(?:\"|$))"
)
_HIDDEN = re.compile(r"(?<=://)[^/@\s:]*:?\*\*\*@|=\*\*\*(?![^&;#])")
_HOST = 256  # characters
_PIECE = re.compile(r"[^/?&;#]+")
_SECRET_PART = re.compile("|".join(_SECRET_PARTS).replace("token", _TOKENIZER))
_LAST = re.compile(rf"(?:[-_.]|(?<=[a-z])(?=[A-Z]))(?i:{'|'.join(_SECRET_LAST)})\Z")
_PLAIN_KEYS = {name.replace("_", "") for name in _PLAIN_NAMES}


def fingerprint(secret: bytes) -> str:
    """A name for a secret that does not reveal it, 16 hexadecimal digits."""
    import hmac

    return hmac.digest(secret, b"fingerprint", "sha256").hex()[:16]


def find_credential(source: str) -> str:
    """The kind of credential in a URL, for messages; empty if there is none.

    A path, a URI without a login, and names such as ``keras:mnist`` have none. A secret
    in the path of a URL is not detected.
    """
    return next((kind for kind, *_ in _credentials(source)), "")


def hide_credentials(text: str) -> str:
    """A text with the passwords, tokens and signatures of its URLs redacted.

    A word in which `find_credential` still finds one is redacted as a whole. A URL
    has blanks if it is in quotes, or if the text begins with it.
    """
    if "://" in text:
        for pattern, redact in (
            (_IN_QUOTES, _redact_field),
            (_FIRST, _redact_url),
            (_QUOTED, _redact_url),
            (_URL, _redact_url),
        ):
            text = pattern.sub(redact, text)
    elif "%" not in text:
        return text
    return _WORD.sub(lambda word: HIDDEN if _leaks(word[0]) else word[0], text)


def _leaks(text: str) -> bool:
    """Whether a text has a credential that is not hidden."""
    may = "://" in text or "%" in text
    return may and find_credential(_HIDDEN.sub("", text)) != ""


def _redact_url(url: re.Match[str]) -> str:
    if url[0].count("://") > _MOST_NESTED:
        return HIDDEN
    return "::".join(map(_redact_part, _CHAINED.split(url[0])))


def credential_advice(source: str) -> str:
    """The action of a message: where to put the credential of a source."""
    urls = (url for text in _decoded(source) for url in _urls(text))
    first = ("", *next(urls, ("", "")))
    _, scheme, rest = next(_credentials(source), first)
    login = _login(scheme, rest)
    host = re.split(r"[/?#]", rest[login.end() if login else 0 :], maxsplit=1)[0]
    if scheme in _BUCKETS:
        return (
            "Take it out, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
            f'AWS_PROFILE, or {OPTIONS}=\'{{"{scheme}://{host}/": {{"key": "...", '
            '"secret": "..."}}\'.'
        )
    if scheme in {"http", "https"} and login is None:
        return (
            f'Take it out, and set {OPTIONS}=\'{{"{scheme}://{host}/": {{"params": '
            '{"NAME": "..."}}}\'. Of a presigned URL, name the object itself with keys '
            "in the environment (s3://BUCKET/KEY), or download it and give the file."
        )
    how = '"headers": {"Authorization": "..."}'
    if scheme not in {"http", "https"}:
        how = '"username": "...", "password": "..."'
    return f"Take it out, and set {OPTIONS}='{{\"{scheme}://{host}/\": {{{how}}}}}'."


def schema_pattern() -> str:
    """An approximation of `find_credential` as a pattern of a JSON schema.

    Prefect's server and its form validate a flow's parameters by it before they store
    anything.
    """
    part = "|".join(map(_any_case, _SECRET_PARTS))
    part = part.replace(_any_case("token"), _any_case("token") + "(?![iI][sSzZ][eE])")
    last = "|".join(map(_any_case, _SECRET_LAST))
    plain = "|".join("[-_.]".join(map(_any_case, n.split("_"))) for n in _PLAIN_NAMES)
    name = "|".join(map(_any_case, sorted(_SECRET_NAMES)))
    login = "|".join(map(_any_case, sorted(_NAME_IS_SECRET)))
    return (
        rf"^(?![\s\S]*({login})://[^/?#]*@)"
        r"(?!(?!\s*git(hub)?://)[\s\S]*://(?!arn:)[^/@?#\[\]]*:(?![0-9]+[/?#])[^@]*@)"
        rf"(?![\s\S]*://[\s\S]*[?&;#]([^=&;#?]*({part})[^=&;#?]*|({name})"
        rf"|(?!({plain})=)[^=&;#?]*[-_.]({last}))=[^&;#])"
    )


def _any_case(word: str) -> str:
    letters = (f"[{c}{c.upper()}]" if c.isalpha() else c for c in word)
    return "[-_.]?".join(letters) if len(word) > 5 else "".join(letters)


def _credentials(source: str) -> Iterator[tuple[str, str, str]]:
    """The kind of each credential in a source, and the URL that has it as `_urls`."""
    for text in _decoded(source):
        for part in _CHAINED.split(text.strip()):
            urls = [*_urls(part)]
            for scheme, rest in urls:
                if _login(scheme, rest) is not None:
                    yield "a login before the @", scheme, rest
            begins = [begin.end() for begin in _BEGIN.finditer(part)]
            for field in _NAME.finditer(part, begins[0] if begins else len(part)):
                if _is_secret(field["name"]):
                    url = urls[bisect(begins, field.start()) - 1]
                    yield f"the parameter {unquote(field['name'])}", *url


def _urls(source: str) -> Iterator[tuple[str, str]]:
    """Scheme and authority of each URL in a source, including nested URLs.

    Behind an authority without @ stands what follows the last @, as its password may
    contain a slash.
    """
    for part in _CHAINED.split(source.strip()):
        last = part.rfind("@")
        for begin in _AUTHORITY.finditer(part):
            rest = begin["authority"]
            if last >= begin.end("authority"):
                rest += f"/{part[last : last + _HOST]}"
            yield begin["scheme"].lower(), rest


def _decoded(text: str) -> Iterator[str]:
    """A text, and what it says when it is percent-decoded, perhaps several times."""
    yield text
    for _ in range(_MOST_ENCODED):
        before, text = text, unquote(text)
        if text == before:
            return
        yield text


def _redact_part(part: str) -> str:
    begin = _BEGIN.match(part)
    if begin is None:
        return part
    rest = part[begin.end() :]
    login = _login(begin["scheme"].lower(), rest)
    if login is not None:
        name = f"{login['name']}:" if login["password"] else ""
        rest = f"{name}{HIDDEN}@{rest[login.end() :]}"
    rest = _URL.sub(_redact_url, _FIELD.sub(_redact_field, rest))
    return begin[0] + _PIECE.sub(_redact_encoded, rest)


def _redact_encoded(piece: re.Match[str]) -> str:
    """A piece of a URL; hidden if what it encodes has a credential."""
    is_encoded = unquote(piece[0]) != piece[0]
    return HIDDEN if is_encoded and _leaks(f"x://?{piece[0]}") else piece[0]


def _redact_field(field: re.Match[str]) -> str:
    if _is_secret(field["name"]):
        return f"{field['mark']}{field['name']}={HIDDEN}"
    return field[0]


def _login(scheme: str, rest: str) -> re.Match[str] | None:
    """The login at the start of a URL's authority, if there is one.

    A password may contain any character, including / and ?. So a colon before the first
    / starts a password unless a port number follows.
    """
    if scheme in _REPOSITORIES or "@" not in rest:
        return None
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        login = _LOGIN.match(rest, 0, len(authority))
        is_name = login is not None and login["password"] is None
        return None if is_name and scheme not in _NAME_IS_SECRET else login
    name, colon, port = re.sub(r"^\[[^\]]*\]", "", authority).partition(":")
    if not colon or name == "arn" or (port.isdigit() and scheme not in _BUCKETS):
        return None
    return _LOGIN.match(rest)


def _is_secret(name: str) -> bool:
    name = unquote(name)
    key = re.sub(r"[^a-z0-9]", "", name.lower())
    if key in _SECRET_NAMES or _SECRET_PART.search(key):
        return True
    return _LAST.search(name) is not None and key not in _PLAIN_KEYS
