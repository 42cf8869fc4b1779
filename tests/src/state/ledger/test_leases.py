"""Who holds a lease, and what one who has lost it can no longer write."""

import threading
import time

import pytest
from tests.src.state.ledger.conftest import a_version, expire, wanted

from headrace.errors import DependencyError
from headrace.state.ledger import Lease, Ledger
from headrace.state.ledger.leases import LIFETIME_SECONDS, Leases

ELSEWHERE = {"host": "elsewhere"}
GONE = {"started": "an earlier boot-17"}


# Taking


def test_a_lease_counts_up_with_each_taking(url):
    leases = Leases(url)
    first = leases.acquire(wanted("one"))
    assert (first.token, first.flow_run_id, first.holder) == (1, "one", "ada@lab")
    assert abs(first.acquired - time.time()) < 60
    assert first.expires == first.acquired + LIFETIME_SECONDS
    leases.release(first, succeeded=True)
    assert leases.acquire(wanted("two")).token == 2


def test_a_lease_of_a_living_holder_is_not_taken(url):
    leases = Leases(url)
    first = leases.acquire(wanted("one"))
    assert leases.acquire(wanted("two")) == first
    assert leases.acquire(Lease.wanted("others", "two", "bob@lab")).token == 1


@pytest.mark.parametrize(
    ("changes", "expired", "is_replaced"),
    [
        pytest.param(GONE, False, True, id="its process is gone"),
        pytest.param(ELSEWHERE, True, True, id="elsewhere, not heard of"),
        pytest.param(ELSEWHERE, False, False, id="elsewhere, heard of"),
        pytest.param({}, True, False, id="runs here, whatever the clock says"),
    ],
)
def test_whose_lease_is_replaced(url, changes, expired, is_replaced):
    leases = Leases(url)
    first = leases.acquire(wanted("one", **changes))
    if expired:
        expire(url)
    taken = leases.acquire(wanted("two"))
    assert (taken.flow_run_id == "two") is is_replaced
    assert taken.token == (2 if is_replaced else 1)
    if is_replaced:
        assert not leases.renew(first)
        rows, _ = leases.all()
        assert [(row.token, row.state) for row in rows] == [(1, "lost"), (2, "held")]
        leases.release(first, succeeded=True)  # too late to change anything
        assert leases.all()[0] == rows


def test_a_renewed_lease_lasts(url):
    leases = Leases(url)
    first = leases.acquire(wanted("one", **ELSEWHERE))
    expire(url)
    assert leases.renew(first)
    assert leases.acquire(wanted("two")).flow_run_id == "one"


def test_of_many_that_want_a_lease_one_gets_it(url):
    Leases(url)
    start = threading.Barrier(8)
    taken = []

    def take(number):
        leases = Leases(url)
        start.wait()
        taken.append(leases.acquire(wanted(f"run {number}")))

    threads = [threading.Thread(target=take, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 8
    assert len({lease.flow_run_id for lease in taken}) == 1
    assert {lease.token for lease in taken} == {1}


def test_a_ledger_has_one_name_whichever_url_it_is_reached_by(url):
    identity = Leases(url).identity()
    assert Leases(url).identity() == identity != ""


def test_what_a_replaced_run_writes_is_refused(url):
    leases = Leases(url)
    Ledger(url)
    first = leases.acquire(wanted("one", **ELSEWHERE))
    stale = Ledger(url, lease=first)
    stale.add_version(a_version(1, model="blobs"))
    expire(url)
    second = leases.acquire(wanted("two"))
    with pytest.raises(DependencyError, match=r"took over blobs by ada@lab \(process"):
        stale.add_version(a_version(2, model="blobs"))
    with pytest.raises(DependencyError, match="took over"):
        stale.check_lease()
    current = Ledger(url, lease=second)
    current.check_lease()
    current.add_version(a_version(2, model="blobs"))
    assert [v.version for v in current.versions("blobs")] == [1, 2]


def test_a_lease_cannot_be_taken_within_a_transaction_that_it_fences(url):
    """Else an entry could be added after another run has begun."""
    leases = Leases(url)
    ledger = Ledger(url, lease=leases.acquire(wanted("one", **ELSEWHERE)))
    expire(url)
    taken = []

    def take_over():
        leases.acquire(wanted("two"))
        taken.append(time.monotonic())

    with ledger.database.adding():
        thread = threading.Thread(target=take_over)
        thread.start()
        time.sleep(0.3)
        ended = time.monotonic()
        assert taken == []
    thread.join()
    assert taken[0] > ended
