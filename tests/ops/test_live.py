"""A home's servers are found while someone keeps them, and only then."""

import os

import pytest

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace_ops import live
from headrace_ops.live import free_port, live_links, only_one, write_links

LINKS = {"prefect": "http://127.0.0.1:1", "mlflow": "http://127.0.0.1:2"}


@pytest.fixture
def empty(tmp_path):
    made = Settings(project=tmp_path, home=tmp_path / "home")
    made.prepare_home()
    return made


def test_addresses_are_found_as_long_as_they_are_kept(empty):
    with only_one(empty):
        assert live_links(empty) == {}
        write_links(empty, LINKS, ())
        assert live_links(empty) == {**LINKS, "process": str(os.getpid())}
    assert live_links(empty) == {}


def test_addresses_of_one_that_was_killed_are_nobodys(empty):
    write_links(empty, LINKS, ())
    assert live_links(empty) == {}
    with only_one(empty):
        assert live_links(empty) == {}, "the old addresses are gone"


def test_a_second_one_is_refused_with_the_addresses(empty):
    with only_one(empty):
        write_links(empty, LINKS, ())
        with pytest.raises(UsageError, match=r"ending: http://127\.0\.0\.1:1 and"):
            with only_one(empty):
                pytest.fail("there are two")
        assert live_links(empty), "the first one is not disturbed"


def test_the_last_line_of_a_log_is_read(tmp_path):
    log = tmp_path / "server.log"
    assert live.last_line(log) == "no message"
    log.write_bytes("\xff the first\nküche: the last word\n\n".encode("latin-1"))
    assert live.last_line(log) == "k\ufffdche: the last word"


def test_a_port_that_is_taken_gives_another():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) not in {0, port}
    assert free_port(port) == port
