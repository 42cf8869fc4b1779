"""Host names and addresses: their form in URLs, loopback, and who connects from there.

A browser sends a cookie to every port of a host. Another user of this machine who gets
someone to open a page on their port receives the cookie, but must not use it. So Linux
is asked who owns the client's end of a loopback connection.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

Address = tuple[str, int]

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_MAPPED = "::ffff:"


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_host(host: str) -> str:
    """The host in a URL by which this machine reaches a server at an address."""
    return WILDCARDS.get(host, url_host(host))


def url_host(host: str) -> str:
    """An address as in a URL, with brackets if it is IPv6."""
    return f"[{host}]" if ":" in host else host


def names_of(host: str) -> set[str]:
    """The names and addresses of a server that listens at an address."""
    names = {host}
    if host in WILDCARDS:
        import psutil

        names |= {socket.gethostname(), socket.getfqdn()}
        for addresses in psutil.net_if_addrs().values():
            names |= {a.address.partition("%")[0] for a in addresses}
    return names


def is_own_host(host: str, names: Collection[str]) -> bool:
    """Whether a header ``Host`` names a server: against DNS rebinding.

    Args:
        names: of the server besides loopback addresses, in lower case.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name in names or is_loopback(name)


def is_visit(method: str, mode: str, destination: str) -> bool:
    """Whether a browser navigates to a page, perhaps by a link on another site.

    Args:
        mode, destination: the headers ``Sec-Fetch-Mode`` and ``Sec-Fetch-Dest``.
    """
    return (method, mode, destination) == ("GET", "navigate", "document")


def is_own_page(host: str, origin: str, site: str, *, is_visit: bool) -> bool:
    """Whether a request is no other site's: against cross-site requests.

    Args:
        host: the header ``Host``.
        origin, site: the headers ``Origin`` and ``Sec-Fetch-Site``; empty: not there.
        is_visit: see `is_visit`.
    """
    try:
        place = urlsplit(origin.lower()).netloc
    except ValueError:
        return False
    is_foreign = origin and place != host.lower()
    return not is_foreign and (site in {"", "same-origin", "none"} or is_visit)


def split_list(text: str) -> set[str]:
    """The parts of a comma-separated list, as in Prefect's and MLflow's variables."""
    return {part.strip() for part in text.split(",")} - {""}


def is_same_user(client: Address | None, server: Address | None) -> bool:
    """Whether a client is a process of this user or of root.

    Clients on other machines, and systems without Linux's table of connections, count
    as the same user: the owner is unknown there.
    """
    if client is None or server is None:
        return True
    if not is_loopback(client[0]) or not _TABLES[0].exists():
        return True
    return owner_of(client, server) in {0, os.geteuid()}


def owner_of(client: Address, server: Address) -> int | None:
    """The user id of the client's end; None if the connection is gone."""
    ends = _to_hex(client), _to_hex(server)
    mapped = tuple(
        _to_hex((host if ":" in host else _MAPPED + host, port))
        for host, port in (client, server)
    )
    for table in filter(Path.exists, _TABLES):
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if (fields[1], fields[2]) in {ends, mapped}:
                return int(fields[7])
    return None


def _to_hex(address: Address) -> str:
    """An address as in the table: 32-bit words in native byte order, in hex."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
