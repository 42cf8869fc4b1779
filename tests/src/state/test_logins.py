"""A home's login: made once, for its owner's eyes, and shown to its servers alone."""

import fcntl
import json
import threading

import pytest

from headrace.errors import UsageError
from headrace.state.logins import (
    LIVE_FILE,
    LOCK_FILE,
    LOGIN_FILE,
    OWN,
    Login,
    ensure_login,
    login_of,
    new_login,
    read_login,
)

LINK = "http://127.0.0.1:4200"


def test_it_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    assert read_login(tmp_path) is None
    login = ensure_login(tmp_path)
    assert (tmp_path / LOGIN_FILE).stat().st_mode & 0o777 == 0o600
    assert ensure_login(tmp_path) == read_login(tmp_path) == login
    assert len(login.password) >= 40


def test_one_that_others_could_have_read_is_replaced(tmp_path):
    known = ensure_login(tmp_path)
    (tmp_path / LOGIN_FILE).chmod(0o644)
    assert ensure_login(tmp_path) != known
    assert (tmp_path / LOGIN_FILE).stat().st_mode & 0o777 == 0o600


def test_several_that_make_it_at_once_have_the_same(tmp_path):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure_login(tmp_path)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({login.password for login in found}) == 1


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"user": "headrace"}', "{"])
def test_a_damaged_file_says_what_to_do(tmp_path, text):
    (tmp_path / LOGIN_FILE).write_text(text)
    with pytest.raises(UsageError, match=LOGIN_FILE) as refused:
        read_login(tmp_path)
    assert "Delete" in refused.value.action


def test_what_is_derived_or_shown_does_not_tell_the_password():
    login = new_login()
    assert login.password not in repr(login)
    link, session = login.derive("link"), login.derive("session")
    assert len({link, session, login.password}) == 3
    assert login.link(LINK) == f"{LINK}/login?token={link}"
    assert login.link(LINK, "/runs").endswith("&next=/runs")
    assert new_login().derive("link") != link


def test_a_name_may_have_any_password():
    login = Login.parse("ada:a:b")
    assert (login.user, login.password, login.text) == ("ada", "a:b", "ada:a:b")
    assert login.header == "Basic YWRhOmE6Yg=="


def live(home, own):
    links = {"prefect": LINK, "mlflow": "http://127.0.0.1:5000", OWN: own}
    (home / LIVE_FILE).write_text(json.dumps(links))


def test_only_a_live_server_of_the_home_is_shown_the_login(tmp_path):
    login = ensure_login(tmp_path)
    live(tmp_path, "prefect")
    assert login_of(tmp_path, f"{LINK}/api") is None, "nobody holds the lock"
    with (tmp_path / LOCK_FILE).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert login_of(tmp_path, f"{LINK}/api") == login
        assert login_of(tmp_path, "http://127.0.0.1:5000") is None, "configured"
        for other in ("http://evil.example:4200/api", "http://127.0.0.1:4201", ""):
            assert login_of(tmp_path, other) is None
        live(tmp_path, "")
        assert login_of(tmp_path, f"{LINK}/api") is None
    assert login_of(tmp_path, f"{LINK}/api") is None
