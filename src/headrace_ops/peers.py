"""Whose process is at the other end of a connection on loopback, as Linux tells.

A browser sends a cookie to every port of a host. Another user of the machine who has
somebody open a page of his on loopback is sent the cookie, and must not get in with it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from pathlib import Path

Address = tuple[str, int]

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_MAPPED = "::ffff:"


def is_ours(client: Address | None, server: Address | None) -> bool:
    """Whether a client is a process of this user, or of root.

    Clients of other machines are nobody's here, and where there is no table of
    connections nothing is known of any.
    """
    if client is None or server is None or not _TABLES[0].exists():
        return True
    try:
        if not ipaddress.ip_address(client[0]).is_loopback:
            return True
    except ValueError:  # a local socket, which has no address
        return True
    return owner_of(client, server) in {0, os.geteuid()}


def owner_of(client: Address, server: Address) -> int | None:
    """The user of the client's end; None where the connection is gone."""
    ends = _written(client), _written(server)
    mapped = tuple(
        _written((_MAPPED + host, port)) if ":" not in host else _written((host, port))
        for host, port in (client, server)
    )
    for table in _TABLES:
        if not table.exists():
            continue
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if (fields[1], fields[2]) in {ends, mapped}:
                return int(fields[7])
    return None


def _written(address: Address) -> str:
    """An address as the table has it: words of the machine's order, in hex."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
