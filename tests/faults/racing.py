"""Processes that race: ``URL PROCESSES COUNT``, the attempts of each; says how it went.

Each attempt is a promotion or a rollback, decided on the last entry. One in ten is
made by a child that is killed in the middle, wherever that is.
"""

import json
import multiprocessing
import os
import random
import signal
import sys
import time

from headrace.errors import DependencyError, PromotionError
from headrace.state.ledger import Ledger

MODEL = "blobs"


def attempt(ledger, label, choice, versions):
    """``won``, ``lost`` where another came first, or ``unknown`` as when killed."""
    sequence = ledger.sequence(MODEL)
    try:
        if choice.random() < 0.3:
            entry = ledger.rollback(
                MODEL, who=label, why="", expected_sequence=sequence
            )
        else:
            version = choice.randint(1, versions)
            entry, _ = ledger.promote(
                MODEL, version, who=label, why="", expected_sequence=sequence
            )
    except PromotionError:
        return "lost"
    except DependencyError:  # the server has ended, and what it did nobody knows
        return "unknown"
    return "won" if entry.who == label else "lost"


def race(url, process, count):
    """What became of the attempts of one process, by their labels."""
    choice = random.Random(process)
    ledger = Ledger(url)
    versions = len(ledger.versions(MODEL))
    said = {"won": [], "lost": [], "unknown": []}
    for number in range(count):
        label = f"{process}-{number}"
        if choice.random() >= 0.1:
            said[attempt(ledger, label, choice, versions)].append(label)
            continue
        moment = choice.uniform(0, 0.03)
        child = os.fork()
        if child == 0:
            attempt(ledger, label, choice, versions)
            os._exit(0)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said["unknown"].append(label)
    return said


def main():
    url, processes, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tasks = [(url, number, count) for number in range(processes)]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        sys.stdout.write(json.dumps(pool.starmap(race, tasks, chunksize=1)))


if __name__ == "__main__":
    main()
