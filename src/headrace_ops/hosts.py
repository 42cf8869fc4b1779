"""The names by which a server is reached, and what of a URL is one."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104


def from_here(host: str) -> str:
    """An address as this machine reaches it, as a URL has it."""
    return EVERYWHERE.get(host, in_link(host))


def in_link(host: str) -> str:
    """An address as a URL has it."""
    return f"[{host}]" if ":" in host else host


def names_of(host: str) -> set[str]:
    """The names and addresses of a server that listens at an address."""
    names = {host}
    if host in EVERYWHERE:
        import psutil

        names |= {socket.gethostname(), socket.getfqdn()}
        for addresses in psutil.net_if_addrs().values():
            names |= {a.address.partition("%")[0] for a in addresses}
    return names


def split_list(text: str) -> set[str]:
    """The parts of a list with commas, as Prefect's and MLflow's variables have it."""
    return {part.strip() for part in text.split(",")} - {""}


def host_of(url: str) -> str:
    """The host of a URL; empty where it has none."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """The origin of a URL, as browsers write it; empty where it has none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
