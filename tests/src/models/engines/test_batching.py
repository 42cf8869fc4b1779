"""The queue of what answers: nobody is left waiting, and each gets its own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from headrace.errors import DependencyError
from headrace.models.engines.hosted import Batching


class Slow:
    """Doubles items, once it may."""

    def __init__(self):
        self.go, self.rows = threading.Event(), list[int]()

    def __call__(self, items):
        self.go.wait(10)
        self.rows.append(len(items))
        if items.min() < 0:
            raise OSError("a bad item")
        return 2.0 * items


def test_what_waits_when_it_is_closed_is_answered_and_nothing_more_is():
    slow = Slow()
    batching = Batching(slow, merged=4, at_once=10)
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(batching, np.arange(count)) for count in (25, 1, 2, 3)]
        while batching.waiting < 3:
            pass
        closing = threading.Thread(target=batching.close)
        closing.start()
        slow.go.set()
        answers = [one.result(10) for one in asked]
        closing.join()
    assert [len(answer) for answer in answers] == [25, 1, 2, 3]
    assert all((a == 2 * np.arange(len(a))).all() for a in answers)
    assert max(slow.rows) == 10
    with pytest.raises(DependencyError, match="closed"):
        batching(np.arange(3))


def test_an_error_is_of_the_requests_that_were_answered_together():
    slow = Slow()
    slow.go.set()
    batching = Batching(slow)
    for _ in range(2):
        with pytest.raises(OSError, match="a bad item"):
            batching(np.array([-1]))
        assert batching(np.array([3])).tolist() == [6]
    batching.close()
