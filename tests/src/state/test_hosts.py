"""Names and addresses of a server."""

import pytest

from headrace.state.hosts import is_loopback, is_own_host, names_of, plain_address


def test_an_address_that_is_mapped_into_ipv6_is_the_address():
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("::ffff:10.0.0.9")


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
