from headrace.serving.backoff import Backoff


def test_the_wait_doubles_up_to_a_minute_and_starts_again_after_one():
    now = [0.0]
    backoff = Backoff(clock=lambda: now[0])
    assert backoff.is_over
    waits = []
    for _ in range(9):
        backoff.started()
        waits.append(backoff.failed())
        assert not backoff.is_over
        now[0] += waits[-1]
        assert backoff.is_over
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.restarts == 8
    backoff.started()
    now[0] += 59
    assert backoff.failed() == 60
    now[0] += 60
    backoff.started()
    now[0] += 60
    assert backoff.failed() == 0.5


def test_a_start_that_fails_counts_as_no_restart():
    now = [0.0]
    backoff = Backoff(clock=lambda: now[0])
    assert [backoff.failed() for _ in range(3)] == [0.5, 1, 2]
    assert backoff.restarts == 0


def test_the_first_and_the_longest_wait_can_be_given():
    backoff = Backoff(2.0, 5.0, clock=lambda: 0.0)
    assert [backoff.failed() for _ in range(4)] == [2.0, 4.0, 5.0, 5.0]
