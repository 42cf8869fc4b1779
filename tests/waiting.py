"""Waiting for what another process or thread does."""

import time


def until(met, what="in time", seconds=600):
    """What a condition answers once it is met; else a failure that says what is not."""
    limit = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < limit, what
        time.sleep(0.05)
    return found


def meeting(folder, processes):
    """A task that ends once so many processes have begun it; it gives its own."""
    folder.mkdir()
    return (
        f"(lambda os, time: (os.makedirs(f'{folder}/{{os.getpid()}}', exist_ok=True), "
        f"[*iter(lambda: len(os.listdir('{folder}')) < {processes} and "
        "time.sleep(0.01) is None, False)], os.getpid())[-1])"
        "(__import__('os'), __import__('time'))"
    )
