"""Whose connection it is, on loopback."""

from __future__ import annotations

import os
import socket

import pytest

from headrace.state.hosts import Address, is_same_user, owner_of


@pytest.mark.parametrize(
    ("listen", "to"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")]
)
def test_a_connection_of_ours_is_known(listen: str, to: str) -> None:
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with socket.socket(family) as server:
        try:
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            server.bind((listen, 0))
        except OSError:
            pytest.skip(f"{listen} cannot be listened on here")
        server.listen()
        with socket.create_connection((to, server.getsockname()[1])) as client:
            ends: tuple[Address, Address] = (
                client.getsockname()[:2],
                client.getpeername()[:2],
            )
            assert owner_of(*ends) == os.geteuid()
            assert is_same_user(*ends)
        other = (ends[0][0], 1)
        assert owner_of(other, ends[1]) is None
        assert not is_same_user(other, ends[1])


def test_what_is_not_on_loopback_is_not_asked_about() -> None:
    server = ("10.0.0.1", 80)
    assert is_same_user(("10.0.0.9", 5), server)
    assert is_same_user(None, server)
    assert is_same_user(("", 0), server)
