"""Host names and addresses: their form in URLs, loopback, and who connects from there.

A browser sends a cookie to every port of a host. Another user of this machine who gets
someone to open a page on their port receives the cookie, but must not use it. So Linux
is asked who owns the client's end of a loopback connection.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import struct
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

Address = tuple[str, int]

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_MAPPED = "::ffff:"
_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^][\s@:/?#\\]+))(?::[0-9]*)?")


def plain_address(host: str) -> str:
    """An address without its zone; IPv4 mapped into IPv6 as IPv4.

    Raises:
        ValueError: it is none. Only a link-local address of IPv6 has a zone.
    """
    plain, mark, _ = host.partition("%")
    address = ipaddress.ip_address(plain)
    if mark and not (address.version == 6 and address.is_link_local):
        raise ValueError(f"{host!r} has a zone")
    return str(getattr(address, "ipv4_mapped", None) or address)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(plain_address(host)).is_loopback
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
    if host not in WILDCARDS:
        return {host.partition("%")[0]}
    return {host, socket.gethostname(), socket.getfqdn(), *_own_addresses()}


def _own_addresses() -> set[str]:
    """The addresses of this machine's network interfaces."""
    import psutil

    interfaces = psutil.net_if_addrs().values()
    return {a.address.partition("%")[0] for each in interfaces for a in each}


def is_own_host(host: str, names: Collection[str]) -> bool:
    """Whether a header ``Host`` names a server: against DNS rebinding.

    A zone means nothing to a server, and clients leave it out.

    Args:
        names: of the server besides loopback addresses, in lower case.
    """
    parts = _HOST.fullmatch(host.lower())
    name = (parts[1] or parts[2]) if parts else ""
    return "%" not in name and (name in names or is_loopback(name))


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

    Args:
        client, server: the ends of the connection itself, not of one behind a proxy.
    """
    if client is None or server is None or not _TABLES[0].exists():
        return True
    try:
        own = plain_address(client[0])
        if not is_loopback(own) and _is_elsewhere(client[0]):
            return True  # the table, which takes milliseconds, does not have it
        owner = owner_of(client, server)
    except ValueError:  # not a connection over TCP
        return True
    if owner is None:
        return not (is_loopback(own) or own in _own_addresses())
    return owner in {0, os.geteuid()}


def _is_elsewhere(host: str) -> bool:
    """Whether no socket of this machine can have the address."""
    host = host if "%" in host else plain_address(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except socket.gaierror:  # no such zone
            return True
        except OSError as error:
            return error.errno == errno.EADDRNOTAVAIL
    return False


def owner_of(client: Address, server: Address) -> int | None:
    """The user id of the client's end; None if that is closed or not on this machine.

    The table names root as the owner of an end whose process has closed it, so what was
    sent before counts as nobody's. Such an end has no inode.
    """
    plain = [(plain_address(host), port) for host, port in (client, server)]
    mapped = [(host if ":" in host else _MAPPED + host, port) for host, port in plain]
    forms = [[_to_hex(end) for end in ends] for ends in (plain, mapped)]
    for table in filter(Path.exists, _TABLES):
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[1:3] in forms:
                return int(fields[7]) if fields[9] != "0" else None
    return None


def _to_hex(address: Address) -> str:
    """An address as in the table: 32-bit words in native byte order, in hex."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
