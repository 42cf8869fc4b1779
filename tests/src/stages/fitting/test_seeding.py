"""What the process does beside a fit must not change what it learns."""

import random
import threading

import pytest

from headrace.stages.fitting import seeded


@pytest.fixture
def draws_beside():
    """Another thread draws random numbers, as one that waits between retries."""
    ended = threading.Event()

    def draw():
        while not ended.wait(1e-4):
            random.random()
            random.randint(1, 9)

    thread = threading.Thread(target=draw)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.fixture
def quiet(fit):
    """The weights where nothing else draws."""
    digest = fit("mlp")[0].weights_digest
    return digest


@pytest.mark.system
def test_what_another_thread_draws_changes_no_weights(quiet, draws_beside, fit):
    assert fit("mlp")[0].weights_digest == quiet


def test_the_generator_of_the_process_is_given_back():
    before = random.randint
    with pytest.raises(ValueError, match="no"), seeded(1):
        assert random.randint is not before
        raise ValueError("no")
    assert random.randint is before


def test_the_draws_are_those_of_the_seed():
    expected = random.Random(7)
    with seeded(7):
        assert random.randint(1, 10**9) == expected.randint(1, 10**9)
        assert random.randint(1, 10**9) == expected.randint(1, 10**9)
