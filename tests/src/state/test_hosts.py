"""Whose connection it is, on loopback."""

import os
import socket
import struct
from contextlib import closing, contextmanager

import psutil
import pytest

from headrace.state import hosts
from headrace.state.hosts import (
    is_loopback,
    is_own_host,
    is_same_user,
    names_of,
    owner_of,
    plain_address,
)


@pytest.mark.parametrize(
    ("listen", "to"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1")]
)
def test_a_connection_of_ours_is_known(listen, to):
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
            ends = (
                client.getsockname()[:2],
                client.getpeername()[:2],
            )
            assert owner_of(*ends) == os.geteuid()
            assert is_same_user(*ends)
        other = (ends[0][0], 1)
        assert owner_of(other, ends[1]) is None
        assert not is_same_user(other, ends[1])


@contextmanager
def connection(host, port=0):
    """The client's end of a connection to an address of this machine, and the server's.

    The server takes the connection, and never closes it first.
    """
    with socket.create_server((host, port)) as server:
        client = socket.socket()
        client.connect(server.getsockname())
        taken, _ = server.accept()
        with taken, closing(client):
            yield client, server.getsockname()


def test_who_has_closed_the_connection_is_not_taken_for_root():
    """Linux's table names root as the owner of what nobody owns any more."""
    with connection("127.0.0.1") as (client, server):
        own = client.getsockname()
        client.send(b"POST")
        client.close()
        assert owner_of(own, server) is None
        assert not is_same_user(own, server)


def addresses():
    """Addresses of this machine that others can reach."""
    interfaces = psutil.net_if_addrs().values()
    found = [a.address for each in interfaces for a in each]
    return [a for a in found if "." in a and not is_loopback(a)]


@pytest.mark.skipif(not addresses(), reason="no address but loopback")
def test_an_address_of_this_machine_is_not_another_machine():
    with connection(addresses()[0]) as (client, server):
        own = client.getsockname()
        assert own[0] == server[0]
        assert owner_of(own, server) == os.geteuid()
        assert is_same_user(own, server)
        reset = struct.pack("ii", 1, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        client.close()  # leaves nothing in the table
        assert owner_of(own, server) is None
        assert not is_same_user(own, server)


def test_an_address_that_is_mapped_into_ipv6_is_the_address():
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("::ffff:10.0.0.9")
    with connection("127.0.0.1") as (client, server):
        own = client.getsockname()
        mapped = (f"::ffff:{own[0]}", own[1]), (f"::ffff:{server[0]}", server[1])
        assert owner_of(*mapped) == os.geteuid()
        assert not is_same_user(("::ffff:127.0.0.1", 1), server)
        assert is_same_user(("fe80::2%eth9", 5), server)


def test_what_is_not_on_this_machine_is_not_asked_about(tmp_path, monkeypatch):
    monkeypatch.setattr(hosts, "_TABLES", (tmp_path,))  # it cannot be read
    server = ("10.0.0.1", 80)
    assert is_same_user(("10.0.0.9", 5), server)
    assert is_same_user(None, server)
    assert is_same_user(("", 0), server)
    with pytest.raises(IsADirectoryError):
        is_same_user(("127.0.0.1", 5), server)


@pytest.mark.parametrize(
    "host", ["127.0.0.1%evil.com", "127.0.0.1%", "[::1%evil]:1", "[::ffff:127.0.0.1%a]"]
)
def test_an_address_with_a_zone_is_not_this_machine(host):
    assert not is_own_host(host, set())
    assert not is_loopback(host.partition("]")[0].strip("["))


def test_a_link_local_address_has_a_zone_for_sockets_alone():
    assert plain_address("fe80::1%eth0") == "fe80::1"
    names = names_of("fe80::1%eth0")
    assert is_own_host("[fe80::1]:80", names)
    assert not is_own_host("[fe80::1%eth0]:80", names)
    assert is_own_host("127.0.0.1:80", names)
