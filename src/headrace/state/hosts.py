"""Host names and addresses: their form in URLs, loopback, and whose a request is."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
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
