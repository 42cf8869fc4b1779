"""Host names and addresses of a server, and their form in URLs."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104


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


def split_list(text: str) -> set[str]:
    """The parts of a comma-separated list, as in Prefect's and MLflow's variables."""
    return {part.strip() for part in text.split(",")} - {""}


def host_of(url: str) -> str:
    """The host of a URL; empty if it has none."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """The origin of a URL, as browsers write it; empty if it has none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
